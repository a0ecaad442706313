/** Why a test of iscsi-test-cu does not pass, by its name or its suite. Every other one is expected to pass. */
export const cuReasons: Readonly<Record<string, string>> = {
  'GetLBAStatus.UnmapSingle':
    'The test asks about block i + 1 and wants an answer that begins at i + 8: it fits only disks whose physical blocks are logical ones. Ours tells 4 KiB blocks, as its files have them.',
  'WriteSame10.UnmapUntilEnd':
    'The test sends a block of FFh with UNMAP and wants zeros. SBC-3 gives blocks back only where they then read as what was sent; we write FFh.',
  'iSCSITMF.LUNResetSimpleAsync':
    'The test reads a variable that it never set (libiscsi 1.19) and then frees what is in use; tgtd fails it, too.',
  'ReportSupportedOpcodes.OneCommand':
    'The test takes the refusal that it asks for as "not implemented" and stops.',
  'StartStopUnit.Simple': 'For media that can be taken out.',
  PreventAllow: 'For media that can be taken out.',
  Sanitize: 'Left out on purpose: a LUN is not to be erased by one command of an initiator.',
  WriteAtomic16: 'Left out: a file system does not promise that a write is whole after a loss of power.',
}

export const reasonFor = (name: string): string | undefined =>
  cuReasons[name] ?? cuReasons[name.slice(0, name.indexOf('.'))]
