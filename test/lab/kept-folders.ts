import type { Lab } from './lab.ts'

/** Makes the folders that volumes and the host get at the first use and keep, so that they are no difference afterwards. */
export async function makeKeptFolders(lab: Lab): Promise<void> {
  const folders = Object.values(lab.state.array.volumes).flatMap((path) =>
    ['containers', 'snapshots', 'clones'].map((folder) => `'${path}/${folder}'`),
  )
  await lab.array.machine.run(`mkdir -p ${folders.join(' ')}`)
  await lab.host.machine.run(`mkdir -p '${lab.state.host.stateDir}/luns'`)
}
