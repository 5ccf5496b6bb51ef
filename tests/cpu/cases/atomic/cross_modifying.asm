; One CPU runs a function while another patches it the way kernels do: INT3 first, then the rest, then the first byte.
; cpus: 2
; timeout: 120
%include "long64.inc"
%define ROUNDS 60
main:
  on_vector BP, breakpoint
  start_ap 1, runner
  wait_for dword [started], 1
  mov r8d, 1
.patch:
  mov byte [target], 0xCC
  call rendezvous
  mov [target + 1], r8d
  call rendezvous
  mov byte [target], 0xB8
  call rendezvous
  check_eq dword [last], r8d
  inc r8d
  cmp r8d, ROUNDS
  jne .patch
  pass
; Waits until the other CPU has run the function twice since.
rendezvous:
  mov eax, [runs]
  add eax, 3
.wait:
  pause
  mov edx, [runs]
  sub edx, eax
  js .wait
  ret
runner:
  mov dword [started], 1
.run:
  call target
  mov [last], eax
  lock inc dword [runs]
  jmp .run
; The target is not executed while it is half done: the breakpoint returns to its caller.
breakpoint:
  mov eax, -1
  mov rsp, [rsp + 16 + 24] ; the RSP of the interrupted function: points at its return address
  ret
  align 64
target:
  mov eax, 0
  ret
  align 64
runs: dd 0
last: dd 0
started: dd 0
