/** `npm run bench -- NAME ...`: prints one JSON line for each figure. Without a name: all. */
export const benches: Record<string, () => Promise<void>> = {
  deploy: async () => (await import('./deploy.ts')).benchDeploy(),
  iscsi: async () => (await import('./iscsi.ts')).benchIscsi(),
  ssh: async () => (await import('./ssh.ts')).benchSsh(),
}

const names = process.argv.slice(2)
const unknown = names.filter((name) => benches[name] === undefined)
if (unknown.length > 0) {
  process.stderr.write(
    `No such benchmark: ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}\n`,
  )
  process.exit(2)
}
for (const name of names.length > 0 ? names : Object.keys(benches)) await benches[name]?.()
