import type { FileSystemType } from './storage.ts'

/**
 * Options of mkfs.ext4, mkfs.xfs and mkfs.ntfs for the file system of a unit; label, UUID and device come after them.
 *
 * Everything that decides how much space the file system takes for itself is said here and not left to the host's
 * defaults, which differ between distributions and releases: containerSize() counts with exactly these. The features
 * are those that every supported host can mount, since a container is deployed on other hosts than the staging one (A13).
 * No option is among them that overrides what mkfs objects to.
 */
const options: Record<FileSystemType, readonly string[]> = {
  ext4: [
    ['-q', '-b', '4096', '-I', '256', '-i', '1048576', '-m', '0'],
    [
      '-O',
      'none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum',
    ],
    // Inode tables are few; written later, by the kernel after each mount, they would dirty every clone.
    ['-E', 'lazy_itable_init=0,lazy_journal_init=1,nodiscard'],
  ].flat(),
  xfs: [
    ['-q', '-K', '-b', 'size=4096', '-i', 'size=512,sparse=1'],
    ['-m', 'crc=1,finobt=1,rmapbt=0,reflink=1'],
    // The stripes of the array at hand mean nothing where a copy goes, and with them small volumes are refused.
    ['-d', 'noalign'],
  ].flat(),
  // The volume begins at LBA 4096 of a disk with the geometry that PC firmware assumes.
  ntfs: ['-q', '-Q', '-c', '4096', '-p', '4096', '-H', '255', '-S', '63'],
}

export const mkfsArguments = (fileSystem: FileSystemType): readonly string[] => options[fileSystem]
