import { parentPort } from 'node:worker_threads'
import { createMethods } from './worker-methods.ts'
import { serveCalls } from './worker-port.ts'

if (parentPort !== null) serveCalls(parentPort, createMethods())
