import type { Lab } from './lab.ts'

/** Makes the folders that a volume gets at its first use and keeps, so that they are no difference afterwards. */
export async function makeVolumeFolders(lab: Lab): Promise<void> {
  const folders = Object.values(lab.state.array.volumes).flatMap((path) =>
    ['containers', 'snapshots', 'clones'].map((folder) => `'${path}/${folder}'`),
  )
  await lab.array.machine.run(`mkdir -p ${folders.join(' ')}`)
}
