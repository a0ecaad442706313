import { vmSchema } from '#shared/domain/compute.ts'
import type { Vm } from '#shared/domain/compute.ts'
import type { Connection } from './database.ts'
import { decodeDocument, encodeDocument, required } from './documents.ts'

/** VMs as they were when their host was last asked (`learntAt`). */
export interface VmRepository {
  put(vm: Vm): void
  /** Puts these in the place of everything known about the host's VMs. */
  replaceAll(host: string, vms: readonly Vm[]): void
  find(host: string, uuid: string): Vm | undefined
  get(host: string, uuid: string): Vm
  /** Of one host or of all. */
  list(host?: string): Vm[]
  /** Forgets it. Not there: succeeds. */
  delete(host: string, uuid: string): void
}

const describe = (host: string, uuid: string): string => `VM ${uuid} on host ${host}`

export function createVmRepository({ db, write }: Connection): VmRepository {
  const upsert = db.prepare<[string, string, string]>(
    `INSERT INTO vms (host, uuid, facts) VALUES (?, ?, ?)
     ON CONFLICT (host, uuid) DO UPDATE SET facts = excluded.facts`,
  )
  const select = db
    .prepare<[string, string], string>('SELECT facts FROM vms WHERE host = ? AND uuid = ?')
    .pluck()
  const selectAll = db.prepare<[], string>('SELECT facts FROM vms ORDER BY host, uuid').pluck()
  const selectOf = db.prepare<[string], string>('SELECT facts FROM vms WHERE host = ? ORDER BY uuid').pluck()
  const remove = db.prepare<[string, string]>('DELETE FROM vms WHERE host = ? AND uuid = ?')
  const removeOf = db.prepare<[string]>('DELETE FROM vms WHERE host = ?')

  const toVm = (facts: string): Vm => decodeDocument(vmSchema, facts, 'VM')
  const find = (host: string, uuid: string): Vm | undefined => {
    const facts = select.get(host, uuid)
    return facts === undefined ? undefined : toVm(facts)
  }
  const put = (vm: Vm): void => {
    const { document, text } = encodeDocument(vmSchema, vm, describe(vm.host, vm.uuid))
    write(() => upsert.run(document.host, document.uuid, text))
  }
  return {
    put,
    replaceAll(host, vms) {
      write(() => {
        removeOf.run(host)
        for (const vm of vms) put({ ...vm, host })
      })
    },
    find,
    get: (host, uuid) => required(find(host, uuid), describe(host, uuid)),
    list: (host) => (host === undefined ? selectAll.all() : selectOf.all(host)).map(toVm),
    delete(host, uuid) {
      write(() => remove.run(host, uuid))
    },
  }
}
