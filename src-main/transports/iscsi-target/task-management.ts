import { reservedTag, taskFunction, taskResponse } from '#main/protocols/iscsi/opcodes.ts'
import type { Pdu } from '#main/protocols/iscsi/pdus.ts'
import { decodeLun } from '#main/protocols/scsi/luns.ts'
import type { Session } from './session.ts'

export interface TaskManagementAnswer {
  readonly response: number
  /** Everybody has to log in again (cold reset). */
  readonly dropsSessions: boolean
}

const respond = (response: number): TaskManagementAnswer => ({ response, dropsSessions: false })

/** Task management (RFC 7143, 11.5). Resolves when what was aborted does not touch the file any more. */
export async function manageTasks(
  session: Session,
  request: Pdu<'taskManagementRequest'>,
): Promise<TaskManagementAnswer> {
  const { served, tasks } = session
  if (served === undefined || tasks === undefined) return respond(taskResponse.notSupported)
  const { unit } = served
  const isTargetWide =
    request.taskFunction === taskFunction.targetWarmReset ||
    request.taskFunction === taskFunction.targetColdReset
  if (!isTargetWide && decodeLun(request.lun) !== served.lun) return respond(taskResponse.noSuchLun)
  switch (request.taskFunction) {
    case taskFunction.abortTask: {
      const task =
        request.referencedTaskTag === reservedTag ? undefined : tasks.find(request.referencedTaskTag)
      if (task === undefined) return respond(taskResponse.noSuchTask)
      await tasks.abort([task])
      return respond(taskResponse.complete)
    }
    case taskFunction.abortTaskSet:
      await tasks.abort()
      return respond(taskResponse.complete)
    case taskFunction.clearTaskSet:
      await unit.clearTasks(session)
      return respond(taskResponse.complete)
    case taskFunction.logicalUnitReset:
    case taskFunction.targetWarmReset:
      await unit.reset()
      return respond(taskResponse.complete)
    case taskFunction.targetColdReset:
      await unit.reset()
      return { response: taskResponse.complete, dropsSessions: true }
    case taskFunction.taskReassign:
      return respond(taskResponse.reassignmentNotSupported)
    default:
      return respond(taskResponse.notSupported)
  }
}
