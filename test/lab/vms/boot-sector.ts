const loadedAt = 0x7c00
const sectorBytes = 512

/** x86 real mode. Each line: machine code, then what it is. */
const printing = [
  ['31c0 8ed8 fc', 'xor ax,ax; mov ds,ax; cld'],
  ['be MMMM', 'mov si,message'],
  ['ac 84c0 7412', 'next: lodsb; test al,al; jz end'],
  ['88c4 bafd03', 'mov ah,al; mov dx,0x3fd'],
  ['ec a820 74fb', 'wait: in al,dx; test al,0x20; jz wait'],
  ['baf803 88e0 ee ebe9', 'mov dx,0x3f8; mov al,ah; out dx,al; jmp next'],
] as const
const poweringOff = [['ba0406 b80020 ef', 'mov dx,0x604; mov ax,0x2000; out dx,ax']] as const
const halting = [['fa f4 ebfc', 'end: cli; hlt; jmp end']] as const

/**
 * A bootable disk of one sector: prints `text` on COM1 and then halts, or turns the machine (q35) off. Written by
 * hand so that a test needs no guest system.
 */
export function bootSector(text: string, then: 'halt' | 'power-off' = 'halt'): Uint8Array {
  const program = [...printing, ...(then === 'power-off' ? poweringOff : []), ...halting]
    .map(([code]) => code.replaceAll(' ', ''))
    .join('')
  const message = Buffer.alloc(2)
  message.writeUInt16LE(loadedAt + program.length / 2)
  const code = Buffer.from(program.replace('MMMM', message.toString('hex')), 'hex')
  const sector = Buffer.alloc(sectorBytes)
  if (code.length + text.length > sectorBytes - 3) throw new Error('the text is too long for a boot sector')
  code.copy(sector)
  sector.write(text, code.length, 'latin1')
  sector.set([0x55, 0xaa], sectorBytes - 2)
  return new Uint8Array(sector)
}
