import type { LunAddress } from '#shared/domain/storage.ts'
import { AppError } from '#shared/errors/app-error.ts'
import { createIscsiInitiator } from '#main/transports/iscsi/initiator.ts'
import type { Inquiry, Session } from './iscsi-initiator.ts'

const never = new AbortController().signal

/** The same as iscsi-initiator.ts with the product's own initiator, where nothing else is installed. */
export async function inquire(address: LunAddress, initiator: string): Promise<Inquiry | undefined> {
  const own = createIscsiInitiator(initiator)
  try {
    const device = await own.open(address, never)
    const { serial, names } = device.facts
    const naa = names.find((name) => name.startsWith('naa.'))?.slice('naa.'.length) ?? ''
    await device.close()
    return { serial, naa }
  } catch (error) {
    if (error instanceof AppError && (error.code === 'not-found' || error.code === 'auth-failed'))
      return undefined
    throw error
  } finally {
    await own.close()
  }
}

export async function logIn(address: LunAddress, initiator: string): Promise<Session> {
  const own = createIscsiInitiator(initiator)
  const device = await own.open(address, never)
  return {
    async read() {
      await device.read(0, 512, never)
    },
    async logOut() {
      await device.close()
      await own.close()
    },
  }
}
