import type { LibvirtHostConfig, Template, TemplateSource } from '#shared/domain/compute.ts'
import { remotePathSchema } from '#shared/domain/names.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { buildDomain } from '#main/protocols/domain-xml/build-domain.ts'
import { readDomain } from '#main/protocols/domain-xml/read-domain.ts'
import { completeDomainTemplate, readDomainTemplate } from '#main/protocols/domain-xml/template-domain.ts'
import { completeImageTemplate, folderImages, nameOfImage } from '#main/protocols/images/image-template.ts'
import { formatOfName } from '#main/protocols/images/container-disk.ts'
import { maxXmlBytes } from '#main/protocols/xml/xml.ts'
import { sh } from '#main/transports/shell/script.ts'
import { stdoutText, type Shell } from '#main/transports/shell/shell.ts'
import type { HostDriver } from '../contract.ts'
import { inspectHostImages } from './host-files.ts'
import { createVirsh } from './virsh.ts'

export type HostTemplates = Pick<HostDriver, 'readTemplate' | 'buildConfiguration'>

export function createHostTemplates(config: LibvirtHostConfig, shell: Shell): HostTemplates {
  return {
    buildConfiguration: buildDomain,
    async readTemplate(source, signal) {
      if (source.kind === 'domain') return readDomainSource(config, shell, source, signal)
      if (source.kind === 'ovf' || source.on !== 'host')
        throw new AppError('bug', `A template of kind ${source.kind} is read by the console, not by a host`)
      if (source.kind === 'folder') return readFolder(config, shell, source, signal)
      return readImages(shell, source, signal)
    },
  }
}

async function readDomainSource(
  config: LibvirtHostConfig,
  shell: Shell,
  source: Extract<TemplateSource, { kind: 'domain' }>,
  signal: AbortSignal,
): Promise<Template> {
  const virsh = createVirsh(config, shell)
  const script = virsh.script(
    sh`v domstate --domain ${source.domain}; v dominfo --domain ${source.domain}`,
    sh`v dumpxml --inactive --domain ${source.domain}`,
  )
  const object = `VM ${source.domain}`
  const output = stdoutText(await virsh.run(script, { signal }, object))
  const start = output.indexOf('<domain')
  const [state = '', ...info] = output.slice(0, start).split('\n')
  const text = output.slice(start).trim()
  const { vm } = readDomain(text, `The configuration of VM ${source.domain}`)
  // virsh takes a number for the id of some running VM.
  if (vm.name !== source.domain && vm.uuid !== source.domain)
    throw new AppError('not-found', `There is no VM of this name on host ${config.name}`, { object })
  if (state.trim() !== 'shut off')
    throw new AppError(
      'busy',
      `The VM is in use (${state.trim()}): its disks may change while they are copied`,
      {
        object,
        advice: 'Shut it down in the guest, then stage it.',
      },
    )
  const template = readDomainTemplate(text, `VM ${vm.name}`)
  const images = await inspectHostImages(shell, template.images, signal)
  const saved = info.some((line) => /^Managed save:\s+yes$/.test(line))
  const warning = 'The saved memory of the VM is not staged; the guest starts as after a power cut'
  return completeDomainTemplate(
    source,
    saved ? { ...template, warnings: [...template.warnings, warning] } : template,
    images,
  )
}

async function readFolder(
  config: LibvirtHostConfig,
  shell: Shell,
  source: Extract<TemplateSource, { kind: 'folder' }>,
  signal: AbortSignal,
): Promise<Template> {
  const path = absolutePath(source.path)
  const script = sh`set -eu
cd -- ${path} 2>/dev/null || exit 3
pwd -P
n=0; xml=; for f in *.xml; do if [ -f "$f" ]; then n=$((n + 1)); xml=$f; fi; done
echo "$n"
if [ "$n" -eq 1 ]; then head -c ${maxXmlBytes + 1} -- "$xml"; fi`
  const result = await shell.run(script, { signal, expectExit: [0, 3] })
  const object = `folder ${path}`
  if (result.exitCode === 3)
    throw new AppError('not-found', `The folder is not on host ${config.name}`, { object })
  const [realPath = '', count = '', ...rest] = stdoutText(result).split('\n')
  if (count !== '1')
    throw new AppError('bad-request', `The folder has ${count} configurations (*.xml); it must have one`, {
      object,
    })
  const template = readDomainTemplate(rest.join('\n'), `The configuration in ${path}`)
  return completeDomainTemplate(
    source,
    template,
    await inspectHostImages(shell, folderImages(template.images, path, '/'), signal, realPath),
  )
}

async function readImages(
  shell: Shell,
  source: Extract<TemplateSource, { kind: 'image' }>,
  signal: AbortSignal,
): Promise<Template> {
  const named = source.paths.map((path) => {
    const claimedFormat = formatOfName(path)
    return { path: absolutePath(path), ...(claimedFormat === undefined ? {} : { claimedFormat }) }
  })
  const images = await inspectHostImages(shell, named, signal)
  return completeImageTemplate({
    source,
    name: nameOfImage(source.paths[0] ?? ''),
    hardware: source.hardware,
    images,
    buildConfiguration: buildDomain,
  })
}

function absolutePath(path: string): string {
  const parsed = remotePathSchema.safeParse(path)
  if (parsed.success) return parsed.data
  throw new AppError('bad-request', `"${path}" is not a path on the host`, {
    object: path,
    advice: 'Give an absolute path without "." and "..".',
  })
}
