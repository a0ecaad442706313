import type { LinuxStorageConfig, ObjectRef } from '#shared/domain/storage.ts'
import { createLinuxStorageArray } from '#main/drivers/arrays/linux-storage/driver.ts'
import { objectPath, volumePath } from '#main/drivers/arrays/layout.ts'
import { sh } from '#main/transports/shell/script.ts'
import type { ShellScript } from '#main/transports/shell/script.ts'
import { stdoutText } from '#main/transports/shell/shell.ts'
import type { Shell } from '#main/transports/shell/shell.ts'
import type { ArrayBench } from './array-bench.ts'
import { inquire, logIn } from './iscsi-initiator.ts'
import { startTargetLab } from './target-lab.ts'
import type { LabFileSystem, TargetLab } from './target-lab.ts'

/** What a bench needs of the array that it stands on. */
export interface ArrayUnderTest {
  readonly config: LinuxStorageConfig
  /** The ways to it of two consoles, and of the test itself, which acts behind their backs. */
  readonly shells: readonly [Shell, Shell]
  readonly shell: Shell
  readonly volume: string
  readonly fullVolume: string
  readonly restartTarget: () => Promise<void>
}

/** A bench on an array of its own; `shellFor` gives each console its way to it (default: on this computer). */
export async function startLinuxStorageBench(
  shellFor: (lab: TargetLab) => Shell = (lab) => lab.shell,
  fileSystem: LabFileSystem = 'xfs',
): Promise<{ bench: ArrayBench; lab: TargetLab; close(): Promise<void> }> {
  const lab = await startTargetLab(fileSystem)
  const bench = createLinuxStorageBench({
    ...lab,
    shells: [shellFor(lab), shellFor(lab)],
    volume: 'roomy',
    fullVolume: 'full',
  })
  return { bench, lab, close: lab.close }
}

export function createLinuxStorageBench(array: ArrayUnderTest): ArrayBench {
  const { config, shell } = array
  const exec = async (script: ShellScript): Promise<string> =>
    stdoutText(await shell.run(script, { signal: new AbortController().signal }))
  const tgtadm = (...args: string[]): Promise<string> =>
    exec(sh`tgtadm -C ${config.settings.tgtControlPort} --lld iscsi ${args}`)
  const path = (ref: ObjectRef): string => `${volumePath(config, ref.volume)}/${objectPath(ref)}`
  const folder = (ref: ObjectRef): string => path(ref).slice(0, path(ref).lastIndexOf('/'))
  const tidOf = async (target: string): Promise<string> => {
    const heads = (await tgtadm('--op', 'show', '--mode', 'target')).matchAll(/^Target (\d+): (.*)$/gm)
    return [...heads].find((head) => head[2] === target)?.[1] ?? '900'
  }
  return {
    driver: createLinuxStorageArray(config, array.shells[0]),
    other: createLinuxStorageArray(config, array.shells[1]),
    volume: array.volume,
    sharesBlocks: true,
    fullVolume: array.fullVolume,
    async writeObject(ref, offset, bytes) {
      await shell.run(
        sh`dd of=${path(ref)} bs=1M iflag=fullblock oflag=seek_bytes seek=${offset} conv=notrunc,fsync status=none`,
        { signal: new AbortController().signal, stdin: bytes },
      )
    },
    async placeForeignObject(ref) {
      await exec(sh`mkdir -p ${folder(ref)} && truncate -s 1M ${path(ref)}`)
    },
    async removeForeignObject(ref) {
      await exec(sh`rm ${path(ref)}`)
    },
    async placeMarkOnly(ref, mark) {
      await exec(sh`mkdir -p ${folder(ref)} && ln -s ${`job=${mark}`} ${`${path(ref)}.gantry`}`)
    },
    async changeSerial({ target }, serial) {
      const lun = ['--tid', await tidOf(target), '--lun', '1']
      await tgtadm('--op', 'update', '--mode', 'logicalunit', ...lun, '--params', `scsi_sn=${serial}`)
    },
    async placeHalfMadeLun({ target, backing }) {
      await tgtadm('--op', 'new', '--mode', 'target', '--tid', '900', '-T', target)
      const lun = ['--tid', '900', '--lun', '1', '--backing-store', path(backing)]
      await tgtadm('--op', 'new', '--mode', 'logicalunit', ...lun)
    },
    loseLuns: array.restartTarget,
    inquire,
    logIn,
  }
}
