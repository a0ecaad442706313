import { attachPromises } from './host-storage-attach.ts'
import { filePromises } from './host-storage-files.ts'
import { unitPromises } from './host-storage-units.ts'
import type { HostPromise } from './host-storage-bench.ts'

/** What the storage half of every host driver keeps, on real LUNs. Each is run on a bench of its own array and host. */
export const hostStoragePromises: readonly HostPromise[] = [
  ...attachPromises,
  ...unitPromises,
  ...filePromises,
]
