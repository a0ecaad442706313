import type { TargetLun } from './target-server.ts'

interface MutableLun {
  lun: number
  type: string
  scsiId: string
  serial: string
  backingPath: string
  sizeBytes: number
}

interface MutableTarget {
  target: string
  luns: MutableLun[]
  sessions: string[]
  acl: string[]
}

/** Lines under a LUN of `tgtadm --op show --mode target` that are kept. */
const lunFields: Record<string, (lun: MutableLun, value: string) => void> = {
  Type: (lun, value) => void (lun.type = value),
  'SCSI ID': (lun, value) => void (lun.scsiId = value),
  'SCSI SN': (lun, value) => void (lun.serial = value),
  Size: (lun, value) => void (lun.sizeBytes = Number.parseInt(value, 10) * 1e6 || 0),
  'Backing store path': (lun, value) => void (lun.backingPath = value === 'None' ? '' : value),
}

/** Text of `tgtadm --op show --mode target` (tgt 1.0.85), by its indentation: 4 section, 8 entry, 12 field. */
function parseTargets(text: string): MutableTarget[] {
  const targets: MutableTarget[] = []
  let section = ''
  for (const line of text.split('\n')) {
    const head = /^Target \d+: (.+)$/.exec(line)
    if (head !== null) {
      targets.push({ target: head[1] ?? '', luns: [], sessions: [], acl: [] })
      continue
    }
    const target = targets.at(-1)
    const match = /^( +)(.*)$/.exec(line)
    if (target === undefined || match === null) continue
    const [, { length: indent } = '', content = ''] = match
    if (indent === 4) section = content
    else if (section === 'ACL information:') target.acl.push(content.trim())
    else if (section === 'I_T nexus information:') {
      const initiator = /^Initiator: (\S+)/.exec(content)?.[1]
      if (initiator !== undefined) target.sessions.push(initiator)
    } else if (section === 'LUN information:') readLunLine(target, indent, content)
  }
  return targets
}

function readLunLine(target: MutableTarget, indent: number, content: string): void {
  const number = /^LUN: (\d+)$/.exec(content)?.[1]
  if (indent === 8 && number !== undefined)
    target.luns.push({
      lun: Number(number),
      type: '',
      scsiId: '',
      serial: '',
      backingPath: '',
      sizeBytes: 0,
    })
  const lun = target.luns.at(-1)
  const colon = content.indexOf(': ')
  if (indent === 12 && lun !== undefined && colon > 0)
    lunFields[content.slice(0, colon)]?.(lun, content.slice(colon + 2))
}

/**
 * The NAA name that tgtd builds from a scsi_id (VPD page 0x83): each character is one hex digit, 0 when it is none,
 * right-aligned in 32 digits of which the first is 6.
 */
export function naaOfScsiId(scsiId: string): string {
  const digits = scsiId.toLowerCase().replaceAll(/[^0-9a-f]/g, '0')
  return `6${digits.padStart(32, '0').slice(-31)}`
}

/** The serial that tgtd itself gives to a LUN, until ours is set: "beaf", target id, LUN number. */
const isDefaultSerial = (serial: string): boolean => serial === '' || serial.startsWith('beaf')

/** Lines "size 67108864 /vol1/containers/web.ctr" that follow: path -> exact bytes. Zero, as of a block device, tells nothing. */
function parseSizes(text: string): Map<string, number> {
  const sizes = [...text.matchAll(/^size (\d+) (.+)$/gm)].map(
    (match) => [match[2] ?? '', Number(match[1])] as const,
  )
  return new Map(sizes.filter(([, bytes]) => bytes > 0))
}

/**
 * All LUNs but the controllers, of the text of `tgtadm --op show --mode target` and the lines about sizes after it.
 * A target without a LUN counts as one half-made.
 */
export function parseTgtLuns(text: string): TargetLun[] {
  const sizes = parseSizes(text)
  return parseTargets(text).flatMap(({ target, luns, sessions, acl }) => {
    const disks = luns.filter((lun) => lun.type !== 'controller')
    const listed =
      disks.length > 0 ? disks : [{ lun: 1, serial: '', scsiId: '', backingPath: '', sizeBytes: 0 }]
    return listed.map((lun) => ({
      target,
      lun: lun.lun,
      serial: lun.serial,
      naa: naaOfScsiId(lun.scsiId),
      backingPath: lun.backingPath,
      sizeBytes: sizes.get(lun.backingPath) ?? lun.sizeBytes,
      mappedTo: acl,
      sessions: [...new Set(sessions)],
      halfMade: isDefaultSerial(lun.serial) && acl.length === 0 && sessions.length === 0,
    }))
  })
}
