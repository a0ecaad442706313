# Boot sector (BIOS, 16 bit, IDE): a guest that tries to get out of its disk. It drives the controller by itself, because
# the BIOS would refuse sectors beyond the end before the hypervisor is asked. Prints on COM1 the size that it sees, then
# for each attempt "ok" or "refused", and turns the machine off.
# ATA/ATAPI-6: 28-bit commands, registers 0x1f0 to 0x1f7.
        .intel_syntax noprefix
        .code16
        .globl _start
        .equ    BUFFER, 0x7e00
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
        mov     dx, 0x3f6                       # no interrupts from the controller
        mov     al, 2
        out     dx, al

        xor     ebx, ebx                        # IDENTIFY DEVICE: words 60 and 61 are the sectors
        mov     al, 0xec
        call    command
        call    data_in
        mov     esi, [BUFFER + 120]
        mov     di, offset sectors
        call    print
        mov     eax, esi
        call    hex8

        lea     ebx, [esi - 1]
        mov     di, offset last_read
        call    try_read
        lea     ebx, [esi - 1]
        mov     di, offset last_write
        call    try_write
        mov     ebx, esi
        mov     di, offset next_read
        call    try_read
        mov     ebx, esi
        mov     di, offset next_write
        call    try_write
        mov     ebx, 0x0fffffff
        mov     di, offset far_write
        call    try_write

        mov     di, offset line_end
        call    print
        mov     dx, 0x604                       # ACPI: soft off
        mov     ax, 0x2000
        out     dx, ax
sleep:  hlt
        jmp     sleep

try_read:
        call    print
        mov     al, 0x20                        # READ SECTOR(S)
        call    command
        jc      refused
        call    data_in
        jmp     done
try_write:
        call    print
        mov     al, 0x30                        # WRITE SECTOR(S)
        call    command
        jc      refused
        mov     cx, 256
        mov     dx, 0x1f0
fill:   mov     ax, 0xe1e1
        out     dx, ax
        loop    fill
        call    ready
        jc      refused
done:   mov     di, offset ok
        jmp     print
refused:
        mov     di, offset no
        jmp     print

command:                                        # al: command, ebx: sector; carry: refused
        push    ax
        mov     dx, 0x1f6
        mov     eax, ebx
        shr     eax, 24
        or      al, 0xe0
        out     dx, al
        mov     dx, 0x1f2
        mov     al, 1
        out     dx, al
        inc     dx
        mov     eax, ebx
        out     dx, al
        inc     dx
        shr     eax, 8
        out     dx, al
        inc     dx
        shr     eax, 8
        out     dx, al
        pop     ax
        mov     dx, 0x1f7
        out     dx, al
ready:  mov     dx, 0x1f7
busy:   in      al, dx
        test    al, 0x80
        jnz     busy
        test    al, 1
        jz      fine
        stc
        ret
fine:   clc
        ret
data_in:
        push    di
        mov     di, BUFFER
        mov     cx, 256
        mov     dx, 0x1f0
        rep insw
        pop     di
        ret

hex8:   mov     cx, 8
digit:  rol     eax, 4
        push    eax
        and     al, 15
        add     al, '0'
        cmp     al, '9'
        jbe     decimal
        add     al, 'a' - '0' - 10
decimal:
        call    put
        pop     eax
        loop    digit
        ret
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
print:  mov     al, [di]                        # di: text that ends in a zero
        test    al, al
        jz      printed
        call    put
        inc     di
        jmp     print
printed:
        ret

sectors:    .asciz "sectors="
last_read:  .asciz " last-read="
last_write: .asciz " last-write="
next_read:  .asciz " next-read="
next_write: .asciz " next-write="
far_write:  .asciz " far-write="
ok:         .asciz "ok"
no:         .asciz "refused"
line_end:   .asciz " end\r\n"
        .org    510
        .word   0xaa55
