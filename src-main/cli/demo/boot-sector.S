# Boot sector (BIOS, 16 bit). Prints on COM1:  VMREADY <name> <uuid> boots=<hex>
# name: what follows "h=" in the SMBIOS system serial number (ds=nocloud;h=NAME); uuid: SMBIOS system UUID.
# boots: a counter in sector 2 (LBA 1) of the disk, so that a run leaves a trace on the disk it ran from.
# SMBIOS 3.1 specification: entry points 5.2.1 (_SM_) and 5.2.2 (_SM3_), System Information (type 1) 7.2.
        .intel_syntax noprefix
        .code16
        .globl _start
        .equ    TABLE_SEGMENT, 0x1000           # the SMBIOS table is copied to 0x10000
        .equ    SECTOR, 0x7e00                  # sector 2 of the disk
        .equ    COM1, 0x3f8
_start:
        ljmp    0, offset main
main:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        cld
        sti
        mov     [drive], dl

        xor     dx, dx                          # int 14h: COM1 ...
        mov     ax, 0x00e3                      # ... 9600 baud, 8 bits, no parity, 1 stop
        int     0x14

        mov     ax, 0x0201                      # read sector 2, count this boot, write it back
        call    sector_io
        inc     byte ptr [SECTOR]
        mov     ax, 0x0301
        call    sector_io

        mov     si, offset ready
        call    print

        # ---- find the entry point: paragraph-aligned in F0000..FFFFF
        mov     ax, 0xf000
        mov     fs, ax
        xor     bx, bx
scan:   cmp     dword ptr fs:[bx], 0x5f4d535f   # "_SM_"
        je      sm2
        cmp     dword ptr fs:[bx], 0x334d535f   # "_SM3"
        je      sm3
        add     bx, 16
        jnz     scan
        jmp     finish
sm2:    mov     eax, fs:[bx + 0x18]             # table address
        movzx   ecx, word ptr fs:[bx + 0x16]    # table length
        jmp     copy
sm3:    mov     eax, fs:[bx + 0x10]
        mov     ecx, fs:[bx + 0x0c]
copy:   mov     [source_low], ax                # int 15h, ah=87h: move a block from above 1 MiB
        shr     eax, 16
        mov     [source_mid], al
        mov     [source_high], ah
        inc     cx
        shr     cx, 1
        mov     si, offset descriptors
        mov     ah, 0x87
        int     0x15

        # ---- find the System Information structure
        mov     ax, TABLE_SEGMENT
        mov     ds, ax
        xor     si, si
structure:
        mov     bx, si                          # bx: this structure
        movzx   ax, byte ptr [bx + 1]
        add     si, ax                          # si: its strings
        cmp     byte ptr [bx], 1
        je      system
        cmp     byte ptr [bx], 127              # end of table
        je      finish
strings_end:
        lodsb
        or      al, [si]
        jnz     strings_end
        inc     si
        jmp     structure

system: mov     cl, [bx + 7]                    # index of the serial number string, from 1
        test    cl, cl
        jz      name_done
find_string:
        dec     cl
        jz      find_name
skip:   lodsb
        test    al, al
        jnz     skip
        jmp     find_string
find_name:
        cmp     word ptr [si], 0x3d68           # "h="
        je      name_found
        lodsb
        test    al, al
        jnz     find_name
        jmp     name_done
name_found:
        add     si, 2
name:   lodsb
        test    al, al
        jz      name_done
        cmp     al, ';'
        je      name_done
        call    put
        jmp     name
name_done:
        mov     al, ' '
        call    put
        # ---- the UUID: its first three fields are little-endian
        mov     si, offset uuid_order
uuid:   xor     ax, ax
        mov     es, ax
        es lodsb
        cmp     al, 0xff
        je      finish
        cmp     al, '-'
        je      dash
        mov     di, ax
        mov     al, [bx + di + 8]
        call    hex
        jmp     uuid
dash:   call    put
        jmp     uuid

finish: xor     ax, ax
        mov     ds, ax
        mov     si, offset boots
        call    print
        mov     al, [SECTOR]
        call    hex
        mov     si, offset line_end
        call    print
sleep:  hlt
        jmp     sleep

sector_io:                                      # ax: 0201h read, 0301h write
        mov     bx, SECTOR
        mov     cx, 0x0002
        xor     dx, dx
        mov     dl, [drive]
        int     0x13
        ret
hex:    push    ax
        shr     al, 4
        call    digit
        pop     ax
        and     al, 15
digit:  add     al, '0'
        cmp     al, '9'
        jbe     put
        add     al, 'a' - '0' - 10
put:    push    dx
        push    ax
        mov     dx, COM1 + 5
wait:   in      al, dx
        test    al, 0x20
        jz      wait
        pop     ax
        mov     dx, COM1
        out     dx, al
        pop     dx
        ret
print_next:
        call    put
print:  lodsb
        test    al, al
        jnz     print_next
        ret

uuid_order:
        .byte   3, 2, 1, 0, '-', 5, 4, '-', 7, 6, '-', 8, 9, '-', 10, 11, 12, 13, 14, 15, 0xff
ready:  .asciz  "VMREADY "
boots:  .asciz  " boots="
line_end:
        .asciz  "\r\n"
drive:  .byte   0
        .balign 4
descriptors:
        .fill   16, 1, 0
        .word   0xffff
source_low:
        .word   0
source_mid:
        .byte   0, 0x93, 0
source_high:
        .byte   0
        .word   0xffff, (TABLE_SEGMENT << 4) & 0xffff
        .byte   (TABLE_SEGMENT << 4) >> 16, 0x93, 0, 0
        .fill   16, 1, 0
        .org    510
        .word   0xaa55
