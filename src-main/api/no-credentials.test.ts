import { expect, test } from 'vitest'
import { z } from 'zod'
import { secretSourceSchema } from '#shared/domain/connection.ts'
import { wireErrorSchema } from '#shared/errors/wire-error.ts'
import { calls, events } from '#shared/contract/index.ts'

const secretName = /pass(word|phrase|wd)|secret|private_?key|token|credential|chap/i

interface Findings {
  /** Fields with a secret's name that are more than a reference to where the secret is. */
  readonly leaks: string[]
  /** Places where a field of any name may stand. */
  readonly open: string[]
}

const reference = JSON.stringify(jsonSchema(secretSourceSchema))

function jsonSchema(schema: z.ZodType): unknown {
  const { $schema: _left, ...rest } = z.toJSONSchema(schema, { io: 'output', unrepresentable: 'any' })
  return rest
}

function walk(node: unknown, path: string, findings: Findings): void {
  if (Array.isArray(node)) for (const item of node) walk(item, path, findings)
  else if (typeof node === 'object' && node !== null)
    walkObject(node as Record<string, unknown>, path, findings)
}

function walkObject(node: Record<string, unknown>, path: string, findings: Findings): void {
  for (const [name, property] of Object.entries((node['properties'] ?? {}) as Record<string, unknown>)) {
    const at = `${path}.${name}`
    if (JSON.stringify(property) === reference) continue
    if (secretName.test(name)) findings.leaks.push(at)
    walk(property, at, findings)
  }
  const more = node['additionalProperties']
  if (typeof more === 'object') findings.open.push(path)
  if (node['type'] === undefined && Object.keys(node).length === 0) findings.open.push(path)
  for (const key of ['items', 'anyOf', 'oneOf', 'allOf', 'additionalProperties', 'prefixItems', '$defs'])
    if (key !== 'additionalProperties' || Object.keys(more ?? {}).length > 0) walk(node[key], path, findings)
}

function inspect(schema: z.ZodType, name: string): Findings {
  const findings: Findings = { leaks: [], open: [] }
  walk(jsonSchema(schema), name, findings)
  return findings
}

const outgoing: Record<string, z.ZodType> = {
  ...Object.fromEntries(Object.entries(calls).map(([name, definition]) => [name, definition.output])),
  ...events,
  error: wireErrorSchema,
}

test('U5: no credential can come out of any call or event', () => {
  const leaks = Object.entries(outgoing).flatMap(([name, schema]) => inspect(schema, name).leaks)
  expect(leaks).toEqual([])
})

test('the walk sees a credential wherever it hides', () => {
  const specimens: [string, z.ZodType][] = [
    ['plain', z.object({ password: z.string() })],
    ['optional', z.object({ a: z.object({ privateKey: z.string().optional() }) })],
    ['list', z.array(z.object({ token: z.string() }))],
    [
      'union',
      z.discriminatedUnion('k', [
        z.object({ k: z.literal('a') }),
        z.object({ k: z.literal('b'), secret: z.string() }),
      ]),
    ],
    ['record', z.record(z.string(), z.object({ passphrase: z.string() }))],
    ['reference or text', z.object({ password: z.union([secretSourceSchema, z.string()]) })],
    ['lazy', z.object({ inner: z.lazy(() => z.object({ chapSecret: z.string() })) })],
  ]
  for (const [name, schema] of specimens) expect(inspect(schema, name).leaks, name).not.toEqual([])
  expect(inspect(z.object({ password: secretSourceSchema.optional() }), 'x').leaks).toEqual([])
})

test('places with free field names are known: what fills them must be looked at by a person', () => {
  const open = new Set(Object.entries(outgoing).flatMap(([name, schema]) => inspect(schema, name).open))
  expect([...open].toSorted()).toMatchInlineSnapshot(`
    [
      "error.facts",
      "inventory.listArrays.config.settings.volumes",
      "inventory.listHosts.config.settings.portals",
      "inventory.showContainer.header",
      "inventory.showContainer.header.disks",
      "inventory.showContainer.header.fileSystem",
      "inventory.showContainer.header.files",
      "inventory.showContainer.header.parent",
      "inventory.showContainer.header.secondaryUnits",
      "inventory.showContainer.header.stagedBy",
      "inventory.showContainer.header.vm",
      "jobs.get.error.facts",
      "jobs.jobChanged.error.facts",
      "jobs.list.error.facts",
      "units.scan.luns.error.facts",
      "units.scan.targets.error.facts",
      "units.show.header",
      "units.show.header.disks",
      "units.show.header.fileSystem",
      "units.show.header.files",
      "units.show.header.parent",
      "units.show.header.secondaryUnits",
      "units.show.header.stagedBy",
      "units.show.header.vm",
    ]
  `)
})
