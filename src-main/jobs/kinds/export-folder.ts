import type { FileChecksum } from '#main/drivers/hosts/contract.ts'

/** A file of an export while its bytes come. */
export interface ExportFile {
  write(chunk: Uint8Array): Promise<void>
  /** Flushes it and gives it its name: from here on it counts as complete. */
  keep(): Promise<void>
  /** Closes and removes it. */
  discard(): Promise<void>
}

/**
 * The folder of an export on this computer. Until `publish` everything lies in a folder of another name beside it, so
 * that what has the name is whole. Errors: busy (the name is taken), not-found, auth-failed, device-rejected (no
 * space left).
 */
export interface ExportFolder {
  /** Where it is until it is published. */
  readonly partialPath: string
  /** Throws busy when the name is taken; again: succeeds. */
  begin(): Promise<void>
  hasBegun(): Promise<boolean>
  /** Removes all of it that is not published; not there: succeeds. */
  discard(): Promise<void>
  /** A complete file, read anew. undefined: it is not complete. */
  checksum(name: string): Promise<FileChecksum | undefined>
  has(name: string): Promise<boolean>
  /** An earlier file of that name that was not complete is replaced. Zeros become holes. */
  create(name: string): Promise<ExportFile>
  publish(): Promise<void>
  /** Whether the folder of that name is this export. */
  isPublished(): Promise<boolean>
  /** Takes the name away again. Not published: succeeds. */
  withdraw(): Promise<void>
}

/** `mark`: the id of the job. */
export type OpenExportFolder = (path: string, mark: string) => ExportFolder

export const exportMarkName = 'gantry-export.json'
