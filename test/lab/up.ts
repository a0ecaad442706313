import { parseArgs } from 'node:util'
import { bringUpLab } from './lab.ts'

const { values } = parseArgs({
  options: { dir: { type: 'string' }, 'with-initiator-guest': { type: 'boolean', default: false } },
})
const started = performance.now()
const { state } = await bringUpLab({
  ...(values.dir === undefined ? {} : { dir: values.dir }),
  withGuest: values['with-initiator-guest'],
  log: (line) => console.error(line),
})
const login = (port: number) =>
  `ssh -i ${state.ssh.identityFile} -o UserKnownHostsFile=${state.ssh.knownHostsFile} -p ${port} root@127.0.0.1`
console.log(`lab     ${state.dir}/lab.json, up after ${((performance.now() - started) / 1000).toFixed(1)} s`)
console.log(`array   ${login(state.array.sshPort)}`)
console.log(`host    ${login(state.host.sshPort)}`)
if (values['with-initiator-guest']) console.log(`guest   ${login(state.guest.sshPort)}`)
