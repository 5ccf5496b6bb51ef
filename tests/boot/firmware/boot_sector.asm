; A boot sector that uses the BIOS: text by INT 10h, a sector by INT 13h extensions, memory by INT 15h, the clock by INT
; 1Ah and a key by INT 16h, in real mode. Then it turns the machine off by ACPI. `nasm -f bin` gives what the disk begins with.
        bits 16
        org 0x7C00

start:  xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7C00
        mov [drive], dl
        mov si, hello
        call print

        mov si, packet          ; the second sector
        mov dl, [drive]
        mov ah, 0x42
        int 0x13
        jc failed
        mov si, 0x8000
        call print

        xor ebx, ebx            ; the memory map: how many entries
        xor bp, bp
.next:  mov di, 0x9000
        mov ecx, 24
        mov edx, 0x534D4150     ; 'SMAP'
        mov eax, 0xE820
        int 0x15
        jc failed
        cmp eax, 0x534D4150
        jne failed
        inc bp
        test ebx, ebx
        jnz .next
        cmp bp, 3
        jb failed

        call pause              ; the timer interrupt arrives

        mov si, ask
        call print
        mov ah, 0               ; a key
        int 0x16
        cmp al, 'k'
        jne failed
        mov si, good
        call print
        call pause              ; a console on the serial line lags behind
        mov dx, 0x604           ; PM1_CNT: S5
        mov ax, 0x3400
        out dx, ax
failed: mov si, bad
        call print
.stop:  hlt
        jmp .stop

; Two ticks of the timer.
pause:  mov ah, 0
        int 0x1A
        mov bx, dx
.tick:  mov ah, 0
        int 0x1A
        sub dx, bx
        cmp dx, 2
        jb .tick
        ret

print:  lodsb
        test al, al
        jz .done
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        jmp print
.done:  ret

hello:  db "BOOT SECTOR", 13, 10, 0
ask:    db "KEY?", 13, 10, 0
good:   db "BOOT SECTOR PASS", 13, 10, 0
bad:    db "BOOT SECTOR FAIL", 13, 10, 0
drive:  db 0
        align 4
packet: db 16, 0
        dw 1                    ; sectors
        dw 0x8000, 0            ; offset, segment
        dq 1                    ; first one
        times 510 - ($ - $$) db 0
        dw 0xAA55
        db "READ BY INT 13H", 13, 10, 0

