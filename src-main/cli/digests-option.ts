import { Option } from 'commander'
import type { PortalLogin } from '#shared/domain/unit-device.ts'

export type DigestsChoice = 'header' | 'data' | 'both'

export const digestsOption = (description: string): Option =>
  new Option('--digests <which>', description).choices(['header', 'data', 'both'])

export const readDigests = (choice: DigestsChoice | undefined): PortalLogin['digests'] =>
  choice === undefined ? undefined : choice === 'both' ? ['header', 'data'] : [choice]
