import { z } from 'zod'
import { initiatorNameSchema, localPathSchema } from '#shared/domain/names.ts'
import { lunIdentitySchema, objectRefSchema } from '#shared/domain/storage.ts'
import { wireErrorSchema } from '#shared/errors/wire-error.ts'

/**
 * Between a console and the process that serves LUNs, over a socket that only the user may open: JSON, one document
 * a line. The process begins with a greeting, once it is the one of its array; the console sends one request; the
 * process answers and closes. A connection that ends before the greeting was never heard.
 */
export const protocolVersion = 1

/** A request with a secret is short; so is a table of 4,096 LUNs. */
export const maxLineBytes = 16 * 1024 * 1024

export const greetingSchema = z.object({
  gantry: z.literal('embedded-array'),
  protocol: z.int(),
  /** Of the product that the process was started from. */
  version: z.string(),
  pid: z.int(),
})
export type Greeting = z.infer<typeof greetingSchema>

const portalSchema = z.object({ host: z.string(), port: z.int().min(1).max(65535) })
const claimSchema = { target: z.string(), serial: z.string() }

export const lunSpecSchema = z.object({
  identity: lunIdentitySchema,
  volumePath: localPathSchema,
  backing: objectRefSchema,
})
/** The folder of the volume and the object in it that becomes a LUN. */
export type LunSpec = z.infer<typeof lunSpecSchema>

export const requestSchema = z.discriminatedUnion('do', [
  /** Opens the portal, if it is not open, and serves what it could not serve before. A login is what new logins must prove from now on; another one than before is auth-failed while initiators are logged in. */
  z.object({
    do: z.literal('serve'),
    portal: portalSchema,
    login: z.object({ user: z.string(), password: z.string() }).optional(),
  }),
  z.object({ do: z.literal('show') }),
  z.object({
    do: z.literal('create-lun'),
    spec: lunSpecSchema,
    lunLimit: z.int().min(1),
    initiator: initiatorNameSchema.optional(),
  }),
  z.object({ do: z.literal('map-lun'), ...claimSchema, initiator: initiatorNameSchema }),
  z.object({ do: z.literal('unmap-lun'), ...claimSchema, initiator: initiatorNameSchema }),
  z.object({ do: z.literal('delete-lun'), ...claimSchema }),
  z.object({
    do: z.literal('restore-luns'),
    luns: z.array(z.object({ spec: lunSpecSchema, initiators: z.array(initiatorNameSchema) })),
  }),
  /** Here, because no LUN may be made from the object meanwhile. */
  z.object({
    do: z.literal('delete-object'),
    volumePath: localPathSchema,
    ref: objectRefSchema,
    mark: z.string(),
  }),
  z.object({ do: z.literal('stop'), force: z.boolean() }),
])
export type Request = z.infer<typeof requestSchema>

export const servedLunSchema = z.object({
  identity: lunIdentitySchema,
  path: z.string(),
  sizeBytes: z.number(),
  initiators: z.array(z.string()),
  sessions: z.array(z.string()),
  /** Why it is not served; absent: it is, or will be when the portal is open. */
  problem: z.string().optional(),
})
export type ServedLun = z.infer<typeof servedLunSchema>

export const stateSchema = z.object({
  /** host:port while the portal is open. */
  portal: z.string().optional(),
  startedAt: z.iso.datetime(),
  luns: z.array(servedLunSchema),
})
export type DaemonState = z.infer<typeof stateSchema>

export const answerSchema = z.discriminatedUnion('ok', [
  /** Every answer that is no error tells the state after it. */
  z.object({ ok: z.literal(true), state: stateSchema }),
  z.object({ ok: z.literal(false), error: wireErrorSchema }),
])
export type Answer = z.infer<typeof answerSchema>

/** What the process tells the console that starts it, once, over the channel of its birth. */
export const birthSchema = z.discriminatedUnion('born', [
  z.object({ born: z.literal(true) }),
  /** Another process serves this array already. */
  z.object({ born: z.literal(false) }),
  z.object({ born: z.literal('failed'), error: wireErrorSchema }),
])
export type Birth = z.infer<typeof birthSchema>
