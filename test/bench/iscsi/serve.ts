import { join } from 'node:path'
import { startIscsiTarget } from '#main/transports/iscsi-target/target.ts'

/** Our target on a file, as a process of its own. Arguments: file, size in bytes, target name. Prints its portal. */
const [path = '', size = '0', name = ''] = process.argv.slice(2)
const target = await startIscsiTarget({
  portal: { host: '127.0.0.1', port: 0 },
  stateFolder: join(path, '..', 'state'),
})
await target.addLun({
  identity: { name: 'disk', target: name, lun: 1, serial: 'bench', naa: `6${'0'.repeat(31)}` },
  path,
  sizeBytes: Number(size),
  readOnly: false,
  vendor: 'GANTRY',
  product: 'CONTAINER',
  initiators: ['iqn.2026-11.bench:libiscsi', 'iqn.2026-11.bench:gantry', 'iqn.2008-11.org.linux-kvm'],
})
process.stdout.write(`${target.portal.host}:${target.portal.port}\n`)
