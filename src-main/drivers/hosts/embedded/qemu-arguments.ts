import { AppError } from '#shared/errors/app-error.ts'
import { readDiskLunRegion } from '#main/protocols/domain-xml/disks.ts'
import {
  attributeOf,
  childrenOf,
  elementsOf,
  find,
  textOf,
  type XmlElement,
} from '#main/protocols/xml/xml.ts'
import type { RegisteredVm } from './records.ts'
import type { VmPlaces } from './places.ts'

export interface QemuChoices {
  readonly accelerator: 'kvm' | 'tcg'
  /** Of a VM with UEFI: the firmware's code; the VM's variables lie at its place. */
  readonly firmwareCode?: string
  /** What QEMU logs in to its LUNs with; it reads the secret from the file when it starts. */
  readonly login?: { readonly user: string; readonly secretFile: string }
}

/**
 * The arguments for QEMU that stand for a domain's configuration. A guest sees of the LUN its own partition and no other
 * byte: QEMU cuts the region out (B6). Throws not-supported for what this computer cannot give a guest.
 */
export function qemuArguments(
  { name, uuid, domain }: RegisteredVm,
  places: VmPlaces,
  choices: QemuChoices,
): string[] {
  const { root, vm } = domain
  const object = `VM ${name}`
  const devices = find(root, 'devices')
  const machine = machineOf(root, object)
  return [
    ...['-name', `guest=${escape(name)}`, '-uuid', uuid],
    ...['-daemonize', '-pidfile', places.pidFile],
    ...['-machine', `${machine},accel=${choices.accelerator}`, '-cpu', 'max'],
    ...['-m', `${Math.ceil(vm.memoryBytes / 1024 / 1024)}M`, '-smp', String(vm.cpus)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-rtc', 'base=utc'],
    ...['-smbios', `type=1,uuid=${uuid},serial=${escape(smbiosSerial(root) ?? `ds=nocloud;h=${name}`)}`],
    ...firmwareArguments(choices.firmwareCode, places),
    ...[
      '-chardev',
      `file,id=serial0,path=${escape(places.consoleLog)},append=off`,
      '-serial',
      'chardev:serial0',
    ],
    ...['-qmp', `unix:${escape(places.monitor)},server=on,wait=off`],
    ...(choices.login === undefined
      ? []
      : ['-object', `secret,id=${loginSecret},file=${escape(choices.login.secretFile)}`]),
    ...domain.disks.flatMap(({ element }, index) =>
      diskArguments(element, index, machine, choices.login?.user, object),
    ),
    ...(devices === undefined ? [] : networkArguments(devices, object)),
    ...['-device', 'VGA'],
  ]
}

/** Commas separate QEMU's options; a doubled one stands for itself. */
const escape = (text: string): string => text.replaceAll(',', ',,')

function machineOf(root: XmlElement, object: string): 'q35' | 'pc' {
  const type = find(root, 'os', 'type')
  const arch = attributeOf(type, 'arch') ?? 'x86_64'
  if (arch !== 'x86_64' && arch !== 'i686')
    throw new AppError(
      'not-supported',
      `The VM is made for ${arch} processors; this computer runs x86_64 VMs`,
      {
        object,
      },
    )
  return /^pc(-i440fx.*)?$/.test(attributeOf(type, 'machine') ?? 'q35') ? 'pc' : 'q35'
}

function smbiosSerial(root: XmlElement): string | undefined {
  for (const sysinfo of childrenOf(root, 'sysinfo'))
    for (const entry of childrenOf(sysinfo, 'system').flatMap(elementsOf))
      if (attributeOf(entry, 'name') === 'serial') return textOf(entry)
  return undefined
}

const firmwareArguments = (code: string | undefined, places: VmPlaces): string[] =>
  code === undefined
    ? []
    : [
        ...['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${escape(code)}`],
        ...['-drive', `if=pflash,unit=1,format=raw,file=${escape(places.firmwareVariables)}`],
      ]

/** QEMU's name for the secret. libiscsi keeps it for new logins after a loss. */
const loginSecret = 'login'

function diskArguments(
  element: XmlElement,
  index: number,
  machine: 'q35' | 'pc',
  user: string | undefined,
  object: string,
): string[] {
  const region = readDiskLunRegion(element)
  if (region === undefined)
    throw new AppError('not-supported', `Disk ${index} is not on a LUN`, {
      object,
      advice: 'This computer runs VMs that were deployed from containers of disks.',
    })
  const node = JSON.stringify({
    driver: 'raw',
    'node-name': `disk${index}`,
    offset: region.offsetBytes,
    size: region.sizeBytes,
    discard: 'unmap',
    cache: { direct: true },
    file: {
      driver: 'iscsi',
      'node-name': `lun${index}`,
      discard: 'unmap',
      cache: { direct: true },
      transport: 'tcp',
      portal: region.portal,
      target: region.target,
      lun: region.lun,
      'initiator-name': region.initiator,
      ...(user === undefined ? {} : { user, 'password-secret': loginSecret }),
    },
  })
  const { controller, device } = busOf(element, index, machine, object)
  return [
    ...['-blockdev', node],
    ...controller.flatMap((options) => ['-device', options]),
    // a full container pauses the VM instead of losing its writes
    ...['-device', `${device},drive=disk${index},bootindex=${index + 1},werror=stop,rerror=stop`],
  ]
}

/** Ports of the SATA controller that a q35 machine has. */
const sataPorts = 6

interface Bus {
  readonly controller: readonly string[]
  readonly device: string
}

function busOf(element: XmlElement, index: number, machine: 'q35' | 'pc', object: string): Bus {
  const bus = attributeOf(find(element, 'target'), 'bus') ?? 'virtio'
  switch (bus) {
    case 'virtio':
      return { controller: [], device: 'virtio-blk-pci' }
    case 'scsi':
      return { controller: [`virtio-scsi-pci,id=scsi${index}`], device: `scsi-hd,bus=scsi${index}.0` }
    case 'sata':
    case 'ide':
      return machine === 'q35' && index < sataPorts
        ? { controller: [], device: `ide-hd,bus=ide.${index}` }
        : { controller: [`ich9-ahci,id=ahci${index}`], device: `ide-hd,bus=ahci${index}.0` }
    default:
      throw new AppError(
        'not-supported',
        `Disk ${index} is on a ${bus} bus, which this computer does not give a VM`,
        {
          object,
          advice: 'Put the disk on a virtio, SATA or IDE bus in the template, then stage it again.',
        },
      )
  }
}

const networkModels: Readonly<Record<string, string>> = {
  virtio: 'virtio-net-pci',
  e1000e: 'e1000e',
  e1000: 'e1000',
  rtl8139: 'rtl8139',
}

/** Each interface has a network of its own behind QEMU; nothing on this computer is changed for it. */
function networkArguments(devices: XmlElement, object: string): string[] {
  return childrenOf(devices, 'interface').flatMap((nic, index) => {
    const name = attributeOf(find(nic, 'model'), 'type') ?? 'virtio'
    const model = networkModels[name]
    if (model === undefined)
      throw new AppError(
        'not-supported',
        `A network card of type ${name} is not given to VMs on this computer`,
        {
          object,
        },
      )
    const mac = attributeOf(find(nic, 'mac'), 'address')
    return [
      ...['-netdev', `user,id=net${index}`],
      ...['-device', `${model},netdev=net${index}${mac === undefined ? '' : `,mac=${mac}`}`],
    ]
  })
}
