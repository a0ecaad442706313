import { AppError } from '#shared/errors/app-error.ts'
import { initiatorNameSchema, nameSchema } from '#shared/domain/names.ts'
import { lunIdentitySchema } from '#shared/domain/storage.ts'
import type { LunIdentity, ObjectRef } from '#shared/domain/storage.ts'

function bad(what: string): never {
  throw new AppError('bad-request', what)
}

/** Names come checked; they become paths here, so they are checked once more. */
export function checkRef<T extends ObjectRef>(ref: T): T {
  return nameSchema.safeParse(ref.name).success ? ref : bad(`"${ref.name}" is no name of an object`)
}

export const checkMark = (mark: string): string =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(mark) ? mark : bad(`"${mark}" is no id of a job`)

export const checkInitiator = (initiator: string): string =>
  initiatorNameSchema.safeParse(initiator).success ? initiator : bad(`"${initiator}" is no initiator name`)

/** Characters that stand for nothing else anywhere: tgtadm takes these in lists with commas. */
export function checkIdentity(identity: LunIdentity): LunIdentity {
  const ok =
    identity.lun === 1 &&
    initiatorNameSchema.safeParse(identity.target).success &&
    /^[A-Za-z0-9._-]{1,36}$/.test(identity.serial) &&
    lunIdentitySchema.shape.naa.safeParse(identity.naa).success
  return ok ? identity : bad(`"${identity.target}" LUN ${identity.lun} is no identity of a LUN of this array`)
}
