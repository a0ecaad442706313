import { parseArgs } from 'node:util'
import { takeDownLab } from './lab.ts'
import { defaultLabDir } from './state.ts'

const { values } = parseArgs({ options: { dir: { type: 'string' } } })
const dir = values.dir ?? defaultLabDir()
await takeDownLab(dir)
console.log(`no lab in ${dir}; nothing is left of it but the cache`)
