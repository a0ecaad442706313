import { AppError } from '#shared/errors/app-error.ts'
import type { LunIdentity } from '#shared/domain/storage.ts'

const lun = ({ name }: Pick<LunIdentity, 'name'>): string => `LUN ${name}`

export const foreignLun = (identity: LunIdentity, serial: string): AppError =>
  new AppError('busy', 'A LUN of this target name is there that Gantry did not make', {
    object: lun(identity),
    facts: { device: `its serial is ${serial}` },
    advice: 'Look at the table of the array; Gantry leaves this LUN alone.',
  })

export const backsLun = (object: string, under: LunIdentity): AppError =>
  new AppError('busy', 'A LUN is made from it', {
    object,
    facts: { device: `LUN ${under.name}, ${under.target}` },
    advice: 'Delete that LUN first; "gantry lun list" shows it.',
  })

export const otherBacking = (identity: LunIdentity, path: string): AppError =>
  new AppError('busy', 'The LUN is made from another object', {
    object: lun(identity),
    facts: { device: path },
    advice: 'Delete that LUN first; "gantry lun list" shows it.',
  })

export const servedElsewhere = (path: string): AppError =>
  new AppError('busy', 'Another Gantry serves a LUN that is made from it', {
    object: path,
    advice:
      'Another console (or this one with another data folder) has the same folder as a volume. Delete that LUN there first.',
  })

export const hasSession = (identity: LunIdentity, initiators: readonly string[]): AppError =>
  new AppError('busy', 'An initiator is logged in to the LUN', {
    object: lun(identity),
    facts: { device: `logged in: ${initiators.join(', ')}` },
    advice: 'Log the host out of the LUN first.',
  })

export const mappedElsewhere = (identity: LunIdentity, initiators: readonly string[]): AppError =>
  new AppError('busy', 'The LUN is mapped to another initiator', {
    object: lun(identity),
    facts: { device: `mapped to ${initiators.join(', ')}` },
    advice: 'Remove that map first: two hosts must not write to the same container.',
  })

export const lunLimit = (volume: string, count: number, limit: number): AppError =>
  new AppError('device-rejected', 'The volume has as many LUNs as it may have', {
    object: `volume ${volume}`,
    facts: { device: `${count} LUNs, limit ${limit}` },
    advice:
      'Delete LUNs that are not used any more, use another volume, or raise the limit in the settings of the array.',
  })

export const noSuchLun = (target: string): AppError =>
  new AppError('not-found', 'It is not there', {
    object: target,
    advice: 'Check the name; "gantry lun list" shows the LUNs.',
  })

export const noObject = (path: string): AppError =>
  new AppError('not-found', 'The object under the LUN is not there', {
    object: path,
    advice: 'Check the name, and that the disk of the volume is plugged in and mounted.',
  })

export const anotherObject = (identity: LunIdentity, path: string, what: string): AppError =>
  new AppError('stale', 'What lies in the place of the LUN’s object is another one', {
    object: lun(identity),
    facts: { file: path, found: what },
    advice: 'Mount the disk that belongs there. The LUN is not served until its own object is back.',
  })

export const isEnding = (): AppError =>
  new AppError('busy', 'The process that serves the array is being stopped', { advice: 'Try again.' })

export const portalTaken = (portal: string, cause: unknown): AppError =>
  new AppError('busy', 'Something else listens on the portal', {
    object: `portal ${portal}`,
    advice:
      'End what uses this port, then try again. Or, while the array has no LUNs, remove it and add it with another ' +
      '--portal; its volumes stay as they are.',
    cause,
  })

export const otherSecret = (portal: string, sessions: Readonly<Record<string, string>>): AppError =>
  new AppError('auth-failed', 'Initiators are logged in with another CHAP user or secret than this one', {
    object: `portal ${portal}`,
    facts: sessions,
    advice:
      'The array keeps the one that they know: with a new one they could not come back after a loss. Correct the ' +
      'variable or what was typed. To change the secret, log these hosts out first, then run "gantry array probe".',
  })

export const portalClosed = (): AppError =>
  new AppError('auth-failed', 'The portal is closed: its login has not been given to this process yet', {
    advice: 'Make the secret available (the variable that the array names) and try again.',
  })
