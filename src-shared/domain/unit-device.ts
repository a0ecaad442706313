import { z } from 'zod'
import { secretSourceSchema } from './connection.ts'
import { initiatorNameSchema } from './names.ts'
import { digestSchema, loginOfArray, type ArrayConfig, type ChapLogin } from './storage.ts'

const chapUserSchema = z.object({ user: z.string().min(1).max(255), secret: secretSourceSchema })

/** A portal and how the console logs in there. */
export const portalLoginSchema = z.object({
  /** host, host:port or [address]:port; the port is 3260 where none is given. */
  portal: z.string().min(1).max(300),
  /** Name of this console as an initiator; default: one of its own. */
  initiatorName: initiatorNameSchema.optional(),
  /** CHAP; without it the console logs in with its name alone. */
  chap: chapUserSchema
    .extend({
      /** What the target must prove in turn (mutual CHAP): its own name and secret. */
      target: chapUserSchema.optional(),
    })
    .optional(),
  /** Checksums that are insisted on. Default: none, unless the target wants them. */
  digests: z.array(digestSchema).optional(),
})
export type PortalLogin = z.infer<typeof portalLoginSchema>

/** The part of a {@link PortalLogin} that an array's login makes. */
export const chapOf = (login: ChapLogin | undefined): Pick<PortalLogin, 'chap'> =>
  login === undefined ? {} : { chap: { user: login.user, secret: login.password } }

/** How the console logs in at the portal of an array. */
export const loginWayOf = (config: ArrayConfig): Pick<PortalLogin, 'chap' | 'digests'> => {
  const { digests } = config.settings
  return { ...chapOf(loginOfArray(config)), ...(digests === undefined ? {} : { digests }) }
}

export const lunAtPortalSchema = z.object({
  target: z.string().min(1).max(223),
  lun: z.int().min(0).max(16383),
})

/** Where a unit is: a file or block device of this computer, or a LUN that the console reads by itself. */
export const unitDeviceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), path: z.string().min(1).max(4096) }),
  portalLoginSchema.extend({ kind: z.literal('iscsi'), ...lunAtPortalSchema.shape }),
])
export type UnitDevice = z.infer<typeof unitDeviceSchema>
