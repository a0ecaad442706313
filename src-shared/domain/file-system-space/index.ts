import type { FileSystemType } from '../storage.ts'
import type { FileSystemSpace } from './contract.ts'
import { ext4Space } from './ext4.ts'
import { ntfsSpace } from './ntfs.ts'
import { xfsSpace } from './xfs.ts'

export const fileSystemSpace: Record<FileSystemType, FileSystemSpace> = {
  ext4: ext4Space,
  xfs: xfsSpace,
  ntfs: ntfsSpace,
}
