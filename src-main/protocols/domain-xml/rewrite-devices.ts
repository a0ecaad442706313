import { deviceOf } from './read-domain.ts'
import { emptyDrive } from './disks.ts'
import {
  attributeOf,
  childrenOf,
  elementsOf,
  find,
  localName,
  makeElement,
  type XmlElement,
} from '../xml/xml.ts'

const removeChildren = (parent: XmlElement, ...names: readonly string[]): void => {
  parent.children = elementsOf(parent).filter((child) => !names.includes(localName(child.name)))
}

/** New addresses; names and ports that belong to one running VM are left to the hypervisor. */
export function renewInterfaces(devices: XmlElement, newMac: () => string): string[] {
  return childrenOf(devices, 'interface').map((nic) => {
    const address = newMac()
    const parameters = find(nic, 'virtualport', 'parameters')
    parameters?.attributes.delete('interfaceid')
    removeChildren(nic, 'mac', 'target')
    nic.children.unshift(makeElement('mac', { address }))
    return address
  })
}

/** One serial port, logged to `path` from each start on; all character devices without paths of another host or VM. */
export function setSerialConsole(devices: XmlElement, path: string): void {
  // The console element of a serial port is its second name; the hypervisor writes it again.
  devices.children = elementsOf(devices).filter(
    (child) =>
      child.name !== 'console' || (attributeOf(find(child, 'target'), 'type') ?? 'serial') !== 'serial',
  )
  const ports = childrenOf(devices, 'serial')
  for (const port of [...ports, ...childrenOf(devices, 'console'), ...childrenOf(devices, 'parallel')]) {
    port.attributes.clear()
    port.attributes.set('type', 'pty')
    removeChildren(port, 'source', 'log', 'protocol', 'alias')
  }
  const first = ports[0] ?? makeElement('serial', { type: 'pty' })
  if (ports.length === 0) devices.children.push(first)
  first.children.unshift(makeElement('log', { file: path, append: 'off' }))
}

/** Sockets of guest channels are named by the hypervisor for each VM. */
function renewChannels(devices: XmlElement): void {
  for (const channel of childrenOf(devices, 'channel'))
    if (attributeOf(channel, 'type') === 'unix') {
      removeChildren(channel, 'source', 'log')
      find(channel, 'target')?.attributes.delete('state')
    }
}

function renewGraphics(devices: XmlElement): void {
  for (const graphics of childrenOf(devices, 'graphics')) {
    const type = attributeOf(graphics, 'type')
    if (type !== 'vnc' && type !== 'spice') continue
    for (const name of ['port', 'tlsPort', 'websocket', 'socket']) graphics.attributes.delete(name)
    graphics.attributes.set('autoport', 'yes')
  }
}

/** Everything below `<devices>` but disks, network and serial ports that belongs to one VM or one host. */
export function renewDevices(devices: XmlElement): void {
  // Each host has its own emulator path.
  removeChildren(devices, 'emulator')
  for (const device of elementsOf(devices)) removeChildren(device, 'alias')
  for (const drive of childrenOf(devices, 'disk'))
    if (deviceOf(drive) === 'cdrom' || deviceOf(drive) === 'floppy') emptyDrive(drive)
  renewChannels(devices)
  renewGraphics(devices)
}
