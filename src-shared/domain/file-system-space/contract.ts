/** How much room a file system made with {@link mkfsArguments} leaves for files. */
export interface FileSystemSpace {
  /** Smaller ones are not made: mkfs refuses, or leaves something out (a journal). */
  readonly minimumBytes: number
  /** Files begin on blocks of this length. */
  readonly blockBytes: number
  /**
   * The most that the file system keeps for itself when it holds `fileCount` files of `dataBytes` altogether: what
   * statfs takes off on an empty one, and inodes, directories and extents. It may fall when `sizeBytes` rises.
   */
  readonly ownBytes: (sizeBytes: number, fileCount: number, dataBytes: number) => number
}
