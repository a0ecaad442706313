import { z } from 'zod'
import { secretSourceSchema } from './connection.ts'
import { initiatorNameSchema } from './names.ts'
import type { ChapLogin } from './storage.ts'

/** A portal and how the console logs in there. */
export const portalLoginSchema = z.object({
  /** host, host:port or [address]:port; the port is 3260 where none is given. */
  portal: z.string().min(1).max(300),
  /** Name of this console as an initiator; default: one of its own. */
  initiatorName: initiatorNameSchema.optional(),
  /** CHAP; without it the console logs in with its name alone. */
  chap: z.object({ user: z.string().min(1).max(255), secret: secretSourceSchema }).optional(),
})
export type PortalLogin = z.infer<typeof portalLoginSchema>

/** The part of a {@link PortalLogin} that an array's login makes. */
export const chapOf = (login: ChapLogin | undefined): Pick<PortalLogin, 'chap'> =>
  login === undefined ? {} : { chap: { user: login.user, secret: login.password } }

/** Where a unit is: a file or block device of this computer, or a LUN that the console reads by itself. */
export const unitDeviceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), path: z.string().min(1).max(4096) }),
  portalLoginSchema.extend({
    kind: z.literal('iscsi'),
    target: z.string().min(1).max(223),
    lun: z.int().min(0).max(16383),
  }),
])
export type UnitDevice = z.infer<typeof unitDeviceSchema>
