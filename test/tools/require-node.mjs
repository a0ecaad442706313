// The first thing every npm script runs: the system's Node may be too old for the database, which then crashes silently.
const major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  process.stderr.write(
    `Gantry needs Node 24 or newer and this is ${process.versions.node}. "npm ci" installs one into node_modules; ` +
      'start through npm ("npm test", "npm run ...") or npx, which use it.\n',
  )
  process.exit(1)
}
