/**
 * `npm run bench -- NAME ...`: prints one JSON line for each figure. A name is that of a bench, or the beginning of a
 * figure's name (`iscsi.initiator.read4k`) where the bench can leave the others out. Without a name: all.
 */
export const benches: Record<string, () => Promise<void>> = {
  deploy: async () => (await import('./deploy.ts')).benchDeploy(),
  iscsi: async () => (await import('./iscsi.ts')).benchIscsi(),
  ssh: async () => (await import('./ssh.ts')).benchSsh(),
}

const names = [...new Set(process.argv.slice(2).map((name) => name.replace(/\..*/, '')))]
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(
    `No such benchmark: ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}\n`,
  )
  process.exit(2)
}
for (const name of names.length > 0 ? names : Object.keys(benches)) await benches[name]?.()
