import { inventoryCalls, inventoryEvents } from './inventory.ts'
import { jobCalls, jobEvents } from './jobs.ts'
import { operationCalls } from './operations.ts'
import { unitCalls } from './units.ts'
import type { z } from 'zod'
import type { CallInput, CallOutput, Handlers } from './define.ts'

export const calls = { ...inventoryCalls, ...operationCalls, ...unitCalls, ...jobCalls }
export const events = { ...inventoryEvents, ...jobEvents }

export type ContractCalls = typeof calls
export type CallName = keyof ContractCalls
export type EventName = keyof typeof events
export type EventPayload<Name extends EventName> = z.output<(typeof events)[Name]>
export type ContractHandlers = Handlers<ContractCalls>
export type InputOf<Name extends CallName> = CallInput<ContractCalls, Name>
export type OutputOf<Name extends CallName> = CallOutput<ContractCalls, Name>
