import type {
  AttachMethod,
  HostConfig,
  ImageFormat,
  Template,
  TemplateSource,
  Vm,
  VmConfiguration,
} from '#shared/domain/compute.ts'
import type { ChapLogin, Check, FileSystemType, LunAddress, OsType } from '#shared/domain/storage.ts'
import type { Action } from '../action.ts'

export interface HostProbe {
  readonly hostName: string
  readonly hypervisor: string
  readonly osType: OsType
  readonly initiatorName: string
  readonly attachMethod: AttachMethod
  /** File systems that the host can make and mount. */
  readonly fileSystems: FileSystemType[]
  readonly checks: Check[]
}

export type PartitionTable = 'gpt' | 'mbr'

/** What `prepareUnit` puts on an empty LUN: the header partition and one file system (design: files layout). */
export interface PrepareUnit {
  readonly lun: LunAddress
  /** As for attaching: who asks the LUN for its identity may have to log in again. */
  readonly login?: ChapLogin | undefined
  readonly unitId: string
  readonly partitionTable: PartitionTable
  readonly fileSystem: FileSystemType
  /** UUID for the file system, chosen before; ext4 and xfs take it as it is, ntfs takes its first 16 hex digits as serial. */
  readonly fileSystemUuid: string
  readonly label: string
}

export interface PreparedUnit {
  readonly fileSystemUuid: string
  readonly fileSystemBytes: number
}

export interface AttachedLun {
  /** Block device on the host: /dev/sdb, /dev/loop3; the LUN's address where there is no device. Empty when `partial`. */
  readonly device: string
  /** Something of it is there (a process, a session, a dead device) but not to be used: attach again or detach. */
  readonly partial?: boolean
  /** Mount point if it is mounted now. */
  readonly mountedAt?: string
  readonly readOnly?: boolean
}

export interface MountOptions {
  readonly fileSystem: FileSystemType
  readonly readOnly?: boolean
}

export interface CopyFile {
  /** Absolute path on the host. */
  readonly source: string
  /** Name in the root of the unit's file system. */
  readonly name: string
}

export interface FileChecksum {
  readonly name: string
  readonly sizeBytes: number
  /** SHA-256, hex, of the whole content with holes read as zeros. */
  readonly sha256: string
}

export interface VmDefinition {
  readonly name: string
  readonly uuid: string
  /** Complete, with new name, UUID and MAC addresses and disk paths on the mounted unit. */
  readonly configuration: VmConfiguration
  readonly macAddresses: readonly string[]
  /** File on the host that the serial console is logged to. */
  readonly consoleLog: string
}

export interface DefineVm {
  readonly name: string
  readonly uuid: string
  readonly lun: LunAddress
  readonly template: VmConfiguration
  readonly disks: readonly { readonly index: number; readonly path: string; readonly format: ImageFormat }[]
}

/** A VM on a unit of the layout `disks`: what the guest sees of the LUN. */
export interface DefineVmOnDisks extends Omit<DefineVm, 'disks'> {
  /** The name that the hypervisor logs in with. */
  readonly initiator: string
  readonly disks: readonly {
    readonly index: number
    readonly offsetBytes: number
    readonly sizeBytes: number
  }[]
}

/**
 * How a host runs VMs from units of the layout `disks`: the hypervisor itself opens the LUN, and a guest sees of it its
 * own partition and no other byte (B6).
 */
export interface UnitDisks {
  /** As UnitFiles.describeVm, with disks that are regions of the LUN. Sends nothing. */
  describeVm(spec: DefineVmOnDisks): VmDefinition
  /**
   * Who a VM of this host is in the lock of its unit (B13): a name that no other VM bears, for people too. Absent: the
   * units of this host's VMs are not locked.
   */
  lockOwner?(vm: { readonly name: string; readonly uuid: string }): string
}

/** When a guest is up: a text on its serial console, or its guest agent answers. */
export type ReadySign = { readonly kind: 'serial'; readonly text: string } | { readonly kind: 'agent' }

/**
 * What a host does with the file system of a unit (layout `files`). The LUN is attached; `not-found` when it is not.
 */
export interface UnitFiles {
  /**
   * Partitions and formats an attached LUN, once: refuses (bad-request) when the device bears any unit header or any
   * known signature (partition table, file system), or its serial is not the LUN's. The guard of A10 is in the same
   * script as the formatting.
   */
  prepareUnit(spec: PrepareUnit): Action<PreparedUnit>
  /** Writes the bytes of the header partition (at most 1 MiB) at its beginning and flushes. Refuses if the partition is not a header partition. */
  writeHeader(lun: LunAddress, bytes: Uint8Array): Action

  /** Mounts the unit's file system at a path of its own; again: succeeds. Returns the mount point. */
  mountUnit(lun: LunAddress, options: MountOptions): Action<string>
  /** attachLun and mountUnit in one, for a LUN that bears a unit. Returns the mount point. */
  attachMounted(lun: LunAddress, options: MountOptions, login?: ChapLogin): Action<string>
  /** Not mounted: succeeds. In use: busy, with who uses it. */
  unmountUnit(lun: LunAddress): Action
  /** Where mountUnit mounts it. */
  mountPointOf(lun: LunAddress): string

  /** Copies files of the host onto the mounted unit, holes kept; reports bytes. Cancelled or cut off: no copying process stays. */
  copyFiles(lun: LunAddress, files: readonly CopyFile[]): Action
  /** Writes a file onto the mounted unit from a stream of this computer, which ends with the action's signal; zeros become holes. Returns its checksum as received. */
  receiveFile(
    lun: LunAddress,
    name: string,
    sizeBytes: number,
    content: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  ): Action<FileChecksum>
  /**
   * Hands the bytes of a file on the mounted unit to `accept`, in order and awaited (back-pressure); what it throws is
   * thrown. Returns the checksum of what was handed on; stale when the file has not that size.
   */
  sendFile(
    lun: LunAddress,
    name: string,
    sizeBytes: number,
    accept: (chunk: Uint8Array) => Promise<void>,
  ): Action<FileChecksum>
  /** `sync -f`; a full volume shows here and nowhere else. */
  syncUnit(lun: LunAddress): Action
  /** Checksums of files anywhere on the host, read from the device and not from a cache of what was written. */
  hashFiles(files: readonly { readonly path: string; readonly name: string }[]): Action<FileChecksum[]>
  /** Converts an image on the mounted unit to qcow2 and removes the original. */
  convertImage(
    lun: LunAddress,
    from: { readonly name: string; readonly format: ImageFormat },
    toName: string,
  ): Action

  /** The new VM's configuration with disks on the mounted unit; sends nothing. MAC addresses are random, locally administered for the hypervisor. */
  describeVm(spec: DefineVm): VmDefinition
}

/**
 * A hypervisor host. A LUN is found by its identity (serial, NAA; target name where the way of attaching has it) and
 * never by order or device name. The same rules for Actions hold as for arrays: durable when succeeded, to be
 * observed when failed, undo of what is not there succeeds, and only what is ours is touched.
 */
export interface HostDriver {
  readonly config: HostConfig

  /** Answers also when checks fail (a missing tool or right is a failed check with advice). */
  probe(signal: AbortSignal): Promise<HostProbe>
  listVms(signal: AbortSignal): Promise<Vm[]>
  /** Names of all VMs: what listVms tells without asking for each VM's configuration. */
  listVmNames(signal: AbortSignal): Promise<string[]>
  findVm(uuid: string, signal: AbortSignal): Promise<Vm | undefined>

  /** Reads a template that lies on this host (kinds domain, folder and image with `on: host`). not-found, bad-request. */
  readTemplate(source: TemplateSource, signal: AbortSignal): Promise<Template>
  /** A configuration for disks that bring none, or that come from an OVF. Pure. */
  buildConfiguration(
    vm: Template['vm'],
    disks: readonly { readonly name: string; readonly format: ImageFormat }[],
  ): VmConfiguration

  /**
   * Logs in and waits until the block device with the LUN's serial is there, read-only where the array exports it so.
   * Again: succeeds, same device. `login`: what the array asks for; its secret is sent to the host when the action runs,
   * is in no command, argument or output, and is on the host only as long as something of the LUN is. auth-failed: the
   * array refuses the login, or asks for one and none was given.
   */
  attachLun(lun: LunAddress, login?: ChapLogin): Action<AttachedLun>
  findAttached(lun: LunAddress, signal: AbortSignal): Promise<AttachedLun | undefined>
  /** Logs out and proves that the device is gone. Refuses (busy) while it is mounted. Not there: succeeds. */
  detachLun(lun: LunAddress): Action

  /** Units of the layout `files`. Absent: the host mounts no file systems. */
  readonly files?: UnitFiles
  /** Units of the layout `disks`. Absent: its hypervisor does not open LUNs by itself. */
  readonly disks?: UnitDisks

  /** Registers it. A VM of that name or UUID that is not this one: busy. Again: succeeds. */
  defineVm(vm: VmDefinition): Action
  /** `login`: of the array that it runs from, for a hypervisor that opens LUNs by itself. */
  startVm(uuid: string, login?: ChapLogin): Action
  /** Waits until the guest says that it is up. timeout with the last lines of the console in the facts. */
  waitForGuest(
    vm: Pick<VmDefinition, 'uuid' | 'consoleLog'>,
    sign: ReadySign,
    timeoutMs: number,
  ): Action<string>
  /** Ends it at once (destroy). Not running or not there: succeeds. */
  stopVm(uuid: string): Action
  /** Removes the registration with its NVRAM and console log, never a disk. Not there: succeeds. */
  undefineVm(vm: { readonly uuid: string; readonly consoleLog?: string }): Action
}
