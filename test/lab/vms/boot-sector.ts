const loadedAt = 0x7c00
const sectorBytes = 512

/**
 * A bootable disk of one sector: prints `text` on COM1 and then halts, or turns the machine (q35) off. x86 real mode,
 * written by hand so that a test needs no guest system.
 */
export function bootSector(text: string, then: 'halt' | 'power-off' = 'halt'): Uint8Array {
  const powerOff = [0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef] // mov dx,0x604; mov ax,0x2000; out dx,ax
  const tail = [...(then === 'power-off' ? powerOff : []), 0xfa, 0xf4, 0xeb, 0xfc] // cli; hlt; jmp to cli
  const printing = 31
  const message = loadedAt + printing + tail.length
  const code = [
    ...[0x31, 0xc0, 0x8e, 0xd8, 0xfc], // xor ax,ax; mov ds,ax; cld
    ...[0xbe, message & 0xff, message >> 8], // mov si,message
    ...[0xac, 0x84, 0xc0, 0x74, 0x12], // next: lodsb; test al,al; jz tail
    ...[0x88, 0xc4, 0xba, 0xfd, 0x03], // mov ah,al; mov dx,0x3fd
    ...[0xec, 0xa8, 0x20, 0x74, 0xfb], // wait: in al,dx; test al,0x20; jz wait
    ...[0xba, 0xf8, 0x03, 0x88, 0xe0, 0xee, 0xeb, 0xe9], // mov dx,0x3f8; mov al,ah; out dx,al; jmp next
    ...tail,
    ...Buffer.from(`${text}\0`, 'latin1'),
  ]
  if (code.length > sectorBytes - 2) throw new Error('the text is too long for a boot sector')
  const sector = new Uint8Array(sectorBytes)
  sector.set(code)
  sector.set([0x55, 0xaa], sectorBytes - 2)
  return sector
}
