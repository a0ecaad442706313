import type { LunFactsInBand } from '#shared/contract/units.ts'
import type { PortalLogin, UnitDevice } from '#shared/domain/unit-device.ts'
import { toAppError } from '#shared/errors/app-error.ts'
import type { ChapSecrets } from '#main/drivers/chap-secrets.ts'
import { lunIdentities } from '#main/protocols/lun/identity.ts'
import { openFileDevice } from '#main/transports/block/file-device.ts'
import { createIscsiInitiator, type IscsiInitiator, type LoginWay } from '#main/transports/iscsi/initiator.ts'
import type { LunFacts } from '#main/transports/iscsi/lun-facts.ts'
import type { LunsOfPortal, OpenedDevice, UnitDevices } from '#main/units/devices.ts'
import { mapLimited } from '#main/units/map-limited.ts'

const targetsAtATime = 8

/**
 * Files and block devices of this computer, and LUNs over sessions of this console.
 * @param ownName the console's own name as an initiator, where the login gives none
 */
export function createUnitDevices(
  secrets: ChapSecrets,
  ownName: string,
): UnitDevices & { close(): Promise<void> } {
  const initiators = new Map<string, IscsiInitiator>()
  const initiatorOf = ({ initiatorName = ownName }: PortalLogin): IscsiInitiator => {
    const initiator = initiators.get(initiatorName) ?? createIscsiInitiator(initiatorName)
    initiators.set(initiatorName, initiator)
    return initiator
  }

  async function logIn<T>(
    { portal, chap, digests = [] }: PortalLogin,
    signal: AbortSignal,
    use: (way: LoginWay) => Promise<T>,
  ): Promise<T> {
    const way: LoginWay = {
      portal,
      ...(digests.includes('header') ? { headerDigest: ['CRC32C'] } : {}),
      ...(digests.includes('data') ? { dataDigest: ['CRC32C'] } : {}),
    }
    if (chap === undefined) return use(way)
    const { user, secret: password, target } = chap
    return secrets.use({ user, password }, portal, signal, (secret) => {
      const credentials = { name: user, secret }
      if (target === undefined) return use({ ...way, credentials })
      const login = { user: `target ${target.user}`, password: target.secret }
      return secrets.use(login, portal, signal, (proof) =>
        use({ ...way, credentials, targetCredentials: { name: target.user, secret: proof } }),
      )
    })
  }

  async function listLuns(login: PortalLogin, signal: AbortSignal): Promise<LunsOfPortal> {
    const initiator = initiatorOf(login)
    // a list of names: each target proves itself when it is logged in to
    const targets = await logIn(login, signal, ({ targetCredentials: _none, ...way }) =>
      initiator.discover(way, signal),
    )
    const found = await mapLimited(targets, targetsAtATime, async ({ name: target }) => {
      try {
        const numbers = await logIn(login, signal, (way) => initiator.listLuns({ ...way, target }, signal))
        return { luns: numbers.map((number) => ({ target, number })), failed: [] }
      } catch (error) {
        signal.throwIfAborted()
        return { luns: [], failed: [{ target, error: toAppError(error) }] }
      }
    })
    return { luns: found.flatMap(({ luns }) => luns), failed: found.flatMap(({ failed }) => failed) }
  }

  async function openLun(
    device: Extract<UnitDevice, { kind: 'iscsi' }>,
    readOnly: boolean,
    signal: AbortSignal,
  ): Promise<OpenedDevice> {
    const { target, lun, portal } = device
    const name = `LUN ${lun} of ${target} at ${portal}`
    const opened = await logIn(device, signal, (way) =>
      initiatorOf(device).open({ ...way, target, lun, name, readOnly }, signal),
    )
    return { device: opened, lun: factsInBand(opened.facts) }
  }

  return {
    open: async (device, access, signal) =>
      device.kind === 'file'
        ? { device: await openFileDevice(device.path, { readOnly: access === 'read' }) }
        : openLun(device, access === 'read', signal),
    listLuns,
    async close() {
      await Promise.all([...initiators.values()].map((initiator) => initiator.close()))
    },
  }
}

function factsInBand({ inquiry, serial, names }: LunFacts): LunFactsInBand {
  const { vendor, product, revision } = inquiry
  return { vendor, product, revision, scsiIds: lunIdentities(names), ...(serial === '' ? {} : { serial }) }
}
