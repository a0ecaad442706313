import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reasonFor } from '../lab/iscsi/cu-reasons.ts'
import { listCuTests, runCuTests } from '../lab/iscsi/test-cu.ts'

/** Writes docs/iscsi-test-cu.md: what libiscsi's conformance tests say about our target. */
const results = await runCuTests(await listCuTests())
const count = (outcome: string): number => results.filter((result) => result.outcome === outcome).length
const suites = Map.groupBy(results, ({ name }) => name.slice(0, name.indexOf('.')))
const rest = results.filter(({ outcome }) => outcome !== 'passed')

const text = `# iscsi-test-cu against the target

Made by \`node test/tools/iscsi-test-cu.ts\` with Debian 12's libiscsi-bin 1.19; \`test/lab/iscsi/target-cu.test.ts\` holds
it. Each test runs in a process of its own with \`--dataloss --allow-sanitize\` on a LUN of 64 MiB and has 60 seconds.
tgtd 1.0.85 passes 170, fails 11 and skips 49.

| passed | failed | crashed or timed out | skipped | of |
| --- | --- | --- | --- | --- |
| ${count('passed')} | ${count('failed')} | ${count('crashed') + count('timed out')} | ${count('skipped')} | ${results.length} |

A test that crashed is the tool's own process; the target went on in every case.

## What does not pass, and why

| test | outcome | reason |
| --- | --- | --- |
${rest.map(({ name, outcome }) => `| ${name} | ${outcome} | ${reasonFor(name) ?? 'not known'} |`).join('\n')}

## By suite

| suite | passed | of |
| --- | --- | --- |
${[...suites].map(([suite, all]) => `| ${suite} | ${all.filter(({ outcome }) => outcome === 'passed').length} | ${all.length} |`).join('\n')}
`
writeFileSync(join(import.meta.dirname, '../../docs/iscsi-test-cu.md'), text)
