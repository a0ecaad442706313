import type { ImageFormat, Template, VmConfiguration } from '#shared/domain/compute.ts'
import { setDiskFile } from './disks.ts'
import { formatXml, makeElement, type XmlElement } from '../xml/xml.ts'
import { metadataNamespace, metadataPrefix } from './identity.ts'

const text = (name: string, value: string, attributes: Readonly<Record<string, string>> = {}): XmlElement =>
  makeElement(name, attributes, [value])

/** 0 -> a, 25 -> z, 26 -> aa. */
function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26))
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last
}

function disk(index: number, bus: 'virtio' | 'sata', file: string, format: ImageFormat): XmlElement {
  const element = makeElement('disk', {}, [
    makeElement('target', { dev: `${bus === 'virtio' ? 'vd' : 'sd'}${letters(index)}`, bus }),
    ...(index === 0 ? [makeElement('boot', { order: '1' })] : []),
  ])
  setDiskFile(element, file, format)
  element.children.slice(0, 1).forEach((driver) => {
    if (typeof driver !== 'string') driver.attributes.set('discard', 'unmap')
  })
  return element
}

/** Left to itself libvirt prefers a firmware that starts only what the keys in it have signed. */
const withoutSecureBoot = (): XmlElement =>
  makeElement(
    'firmware',
    {},
    ['enrolled-keys', 'secure-boot'].map((name) => makeElement('feature', { enabled: 'no', name })),
  )

/**
 * A configuration for disks that bring none: a q35 machine with the host's CPU features, user-mode network and serial
 * console; UEFI without Secure Boot. Marked so that it is emulated on a host without KVM (see define-vm). The guest agent's channel is there
 * for guests that have one.
 */
export function buildDomain(
  vm: Template['vm'],
  disks: readonly { readonly name: string; readonly format: ImageFormat }[],
): VmConfiguration {
  const bus = vm.diskBus ?? 'virtio'
  const root = makeElement('domain', { type: 'kvm' }, [
    text('name', vm.name),
    ...(vm.uuid === undefined ? [] : [text('uuid', vm.uuid)]),
    makeElement('metadata', {}, [
      makeElement(`${metadataPrefix}:accelerator`, {
        [`xmlns:${metadataPrefix}`]: metadataNamespace,
        type: 'any',
      }),
    ]),
    text('memory', String(vm.memoryBytes), { unit: 'b' }),
    text('vcpu', String(vm.cpus), { placement: 'static' }),
    makeElement('os', vm.firmware === 'uefi' ? { firmware: 'efi' } : {}, [
      text('type', 'hvm', { arch: 'x86_64', machine: 'q35' }),
      ...(vm.firmware === 'uefi' ? [withoutSecureBoot()] : []),
    ]),
    makeElement('features', {}, [makeElement('acpi'), makeElement('apic')]),
    makeElement('cpu', { mode: 'maximum' }),
    makeElement('clock', { offset: 'utc' }),
    text('on_poweroff', 'destroy'),
    text('on_reboot', 'restart'),
    text('on_crash', 'destroy'),
    makeElement('devices', {}, [
      ...disks.map(({ name, format }, index) => disk(index, bus, name, format)),
      makeElement('interface', { type: 'user' }, [
        makeElement('model', { type: bus === 'virtio' ? 'virtio' : 'e1000e' }),
      ]),
      makeElement('serial', { type: 'pty' }),
      makeElement('channel', { type: 'unix' }, [
        makeElement('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' }),
      ]),
      makeElement('graphics', { type: 'vnc', port: '-1', autoport: 'yes' }),
      makeElement('video', {}, [makeElement('model', { type: 'vga' })]),
    ]),
  ])
  return { format: 'libvirt-xml', text: `${formatXml(root)}\n` }
}
