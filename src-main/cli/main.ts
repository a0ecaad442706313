import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { createGantry } from '#main/app/gantry.ts'
import { createProcessIo } from './process-io.ts'
import { runCli } from './run-cli.ts'

const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const { version } = z.object({ version: z.string() }).parse(manifest)

process.exitCode = await runCli(process.argv.slice(2), {
  io: createProcessIo(),
  version,
  openGantry: createGantry,
})
