; INIT and SIPI start the other CPUs; all of them add to one counter with LOCK.
; cpus: 4
%include "long64.inc"
%define ROUNDS 10000
main:
  start_ap 1, worker
  start_ap 2, worker
  start_ap 3, worker
  call count
  lock inc dword [done]
  wait_for dword [done], 4
  check_eq dword [counter], 4 * ROUNDS
  check_eq dword [ids], 0xE
  pass
worker:
  lock bts [ids], edi
  call count
  lock inc dword [done]
.park:
  hlt
  jmp .park
count:
  mov ecx, ROUNDS
.next:
  lock inc dword [counter]
  loop .next
  ret
  align 64
counter: dd 0
done: dd 0
ids: dd 0
