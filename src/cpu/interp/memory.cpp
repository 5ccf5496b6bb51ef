// Guest memory as an instruction sees it: segment checks, the slow path behind the soft TLB, devices, the stack.
#include <cstring>

#include "cpu/interp/cpu.h"
#include "cpu/interp/debug.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Whether [offset, offset+size) lies within a segment (SDM 3A 5.3; expand-down data segments have the limit at the
/// bottom).
bool within_limit(const Segment& segment, u64 offset, unsigned size) {
  const u64 last = offset + size - 1;
  if (segment.s() && (segment.type() & 0xC) == 0x4) {
    const u64 top = segment.db() ? 0xFFFFFFFF : 0xFFFF;
    return offset > segment.limit && last <= top;
  }
  return last <= segment.limit;
}

bool type_allows(const Segment& segment, Access access) {
  if (segment.type() & 8) return access != Access::Write && (access == Access::Execute || (segment.type() & 2));
  return access != Access::Write || (segment.type() & 2);
}

}  // namespace

u64 Cpu::linear(Seg seg, u64 offset, unsigned size, Access access) {
  if (code64()) {
    const u64 va = seg >= FS ? offset + sys.segment[seg].base : offset;
    if (!x86::is_canonical(va) || !x86::is_canonical(va + size - 1)) [[unlikely]]
      raise(seg == SS ? Vector::SS : Vector::GP, 0);
    return va;
  }
  const Segment& segment = sys.segment[seg];
  const bool checked = protected_mode() && !v86();
  if (checked && (segment.unusable() || !type_allows(segment, access))) raise(seg == SS ? Vector::SS : Vector::GP, 0);
  if (!within_limit(segment, offset, size)) {
    if (protected_mode()) raise(seg == SS ? Vector::SS : Vector::GP, 0);
    raise(seg == SS ? Vector::SS : Vector::GP, 0);
  }
  return static_cast<u32>(segment.base + offset);
}

x86::PagingContext Cpu::paging_context(bool user) const {
  return {.cr0 = sys.cr0,
          .cr3 = sys.cr3,
          .cr4 = sys.cr4,
          .efer = sys.efer,
          .pdpte = sys.pdpte.data(),
          .user = user,
          .smap_off = (rflags & rflags::AC) != 0 && cpl < 3};
}

/// Guest-physical address of `va`, with the TLB filled when it is RAM.
u64 Cpu::translate(u64 va, Access access, bool user, Seg seg) {
  if (code64() && !x86::is_canonical(va)) raise(seg == SS ? Vector::SS : Vector::GP, 0);
  const auto context = paging_context(user);
  ++counters.page_walks;
  const x86::Translation t = x86::walk(memory, context, va, access, &tables);
  if (!t.ok) raise_page_fault(va, t.error_code);
  const u64 page = t.gpa & ~kPageMask;
  if (page == apic_page) return t.gpa;
  u8* host = memory.at(page, kPageSize);
  if (host == nullptr || user != (cpl == 3)) return t.gpa;
  if (access == Access::Execute) {
    tlb.enter(execute_view(), va, host, t, false, false, true);
    return t.gpa;
  }
  // What the same view may do without another walk. The access itself was just allowed.
  const bool reachable = user ? t.user : !t.user || view == SoftTlb::SupervisorUserAccess;
  const bool may_write = reachable && t.dirty && (t.writable || (!user && !(sys.cr0 & cr0::WP)));
  tlb.enter(view, va, host, t, reachable, may_write, false);
  return t.gpa;
}

u8* Cpu::run_pointer(u64 va, unsigned size, Access access, Seg seg) {
  const auto probe = [&] { return access == Access::Read ? tlb.read(view, va, size) : tlb.write(view, va, size); };
  u8* const found = probe();
  if (found != nullptr || view == SoftTlb::Strict) return found;
  translate(va, access, cpl == 3, seg);
  return probe();
}

namespace {

/// Splits [va, va+size) at page ends and calls `piece(va, done, length)`.
template <class F>
void by_page(u64 va, unsigned size, F piece) {
  for (unsigned done = 0; done < size;) {
    const unsigned length = static_cast<unsigned>(std::min<u64>(size - done, kPageSize - ((va + done) & kPageMask)));
    piece(va + done, done, length);
    done += length;
  }
}

/// Device accesses are made in naturally aligned pieces of at most 8 bytes.
template <class F>
void by_device_unit(u64 gpa, unsigned size, F piece) {
  for (unsigned done = 0; done < size;) {
    unsigned unit = 8;
    while (unit > size - done || ((gpa + done) & (unit - 1)) != 0) unit /= 2;
    piece(gpa + done, done, static_cast<u8>(unit));
    done += unit;
  }
}

}  // namespace

u64 Cpu::device_read(u64 gpa, u8 size) {
  if (is_apic(gpa)) {
    ++counters.apic;
    if (size > 4 || (gpa & 15) + size > 4) return 0;  // outside the architected 32-bit registers: undefined, reads 0
    return bits(apic.mmio_read(static_cast<u32>(gpa & 0xFF0)), static_cast<unsigned>(gpa & 3) * 8, size * 8u);
  }
  ++counters.mmio;
  return io.mmio_read(gpa, size);
}

void Cpu::device_write(u64 gpa, u8 size, u64 value) {
  if (is_apic(gpa)) {
    ++counters.apic;
    if (size != 4 || (gpa & 15) != 0) return;
    apic.mmio_write(static_cast<u32>(gpa & 0xFF0), static_cast<u32>(value));
    recheck_interrupts();
    return;
  }
  ++counters.mmio;
  io.mmio_write(gpa, size, value);
}

void Cpu::check_alignment(u64 va, unsigned size) {
  const u64 both = cr0::AM;
  if (cpl == 3 && (sys.cr0 & both) && (rflags & rflags::AC) && size <= 8 && (va & (size - 1)) != 0)
    raise(Vector::AC, 0);
}

void Cpu::read_slow(u64 va, void* to, unsigned size, Seg seg) {
  if (!code64()) va = static_cast<u32>(va);
  if (view == SoftTlb::Strict) {
    check_alignment(va, size);
    note_data_access(*this, va, size, Access::Read);
  }
  // All pages first: a fault on the second must come before a device on the first is touched.
  u64 gpa[3];
  unsigned pages = 0;
  by_page(va, size,
          [&](u64 at, unsigned, unsigned) { gpa[pages++] = translate(wrap(at), Access::Read, cpl == 3, seg); });
  pages = 0;
  by_page(va, size, [&](u64, unsigned done, unsigned length) {
    const u64 at = gpa[pages++];
    u8* out = static_cast<u8*>(to) + done;
    const u8* host = is_apic(at) ? nullptr : memory.at(at, length);
    if (host != nullptr) {
      copy_sized(out, host, length);
    } else {
      by_device_unit(at, length, [&](u64 unit_gpa, unsigned unit_done, u8 unit) {
        const u64 value = device_read(unit_gpa, unit);
        std::memcpy(out + unit_done, &value, unit);
      });
    }
  });
}

void Cpu::write_slow(u64 va, const void* from, unsigned size, Seg seg) {
  if (!code64()) va = static_cast<u32>(va);
  if (view == SoftTlb::Strict) {
    check_alignment(va, size);
    note_data_access(*this, va, size, Access::Write);
  }
  u64 gpa[3];
  unsigned pages = 0;
  by_page(va, size,
          [&](u64 at, unsigned, unsigned) { gpa[pages++] = translate(wrap(at), Access::Write, cpl == 3, seg); });
  pages = 0;
  by_page(va, size, [&](u64, unsigned done, unsigned length) {
    const u64 at = gpa[pages++];
    const u8* in = static_cast<const u8*>(from) + done;
    u8* host = is_apic(at) ? nullptr : memory.at(at, length);
    if (host != nullptr) {
      copy_sized(host, in, length);
      written(host, length);
    } else {
      by_device_unit(at, length, [&](u64 unit_gpa, unsigned unit_done, u8 unit) {
        u64 value = 0;
        std::memcpy(&value, in + unit_done, unit);
        device_write(unit_gpa, unit, value);
      });
    }
  });
}

void Cpu::probe_write(u64 va, unsigned size, Seg seg) {
  if (!code64()) va = static_cast<u32>(va);
  if (view == SoftTlb::Strict) check_alignment(va, size);
  by_page(va, size, [&](u64 at, unsigned, unsigned) { translate(wrap(at), Access::Write, cpl == 3, seg); });
}

u8* Cpu::rmw_pointer(u64 va, unsigned size, Seg seg) {
  if (u8* host = tlb.write(view, va, size)) return host;
  if (!code64()) va = static_cast<u32>(va);
  if (view == SoftTlb::Strict) {
    check_alignment(va, size);
    note_data_access(*this, va, size, Access::Write);
  }
  u64 first = 0;
  unsigned pages = 0;
  bool contiguous = true;
  by_page(va, size, [&](u64 at, unsigned done, unsigned) {
    const u64 gpa = translate(wrap(at), Access::Write, cpl == 3, seg);
    if (pages++ == 0) {
      first = gpa;
    } else {
      contiguous = contiguous && gpa == first + done;
    }
    contiguous = contiguous && !is_apic(gpa);
  });
  return contiguous ? memory.at(first, size) : nullptr;
}

/// Host address for an implicit supervisor access, by the TLB view that no user page is in. nullptr: not within one
/// page of RAM. Raises what the access raises.
u8* Cpu::system_pointer(u64 va, unsigned size, Access access) {
  if (!long_mode()) va = static_cast<u32>(va);
  constexpr auto kView = SoftTlb::Supervisor;
  if (u8* host = access == Access::Write ? tlb.write(kView, va, size) : tlb.read(kView, va, size)) return host;
  if ((va & kPageMask) + size > kPageSize) return nullptr;
  auto context = paging_context(false);
  context.smap_off = false;
  const auto t = x86::walk(memory, context, va, access, &tables);
  if (!t.ok) raise_page_fault(va, t.error_code);
  if (is_apic(t.gpa)) return nullptr;
  u8* page = memory.at(t.gpa & ~kPageMask, kPageSize);
  if (page == nullptr) return nullptr;
  if (!t.user) tlb.enter(kView, va, page, t, true, t.dirty && (t.writable || !(sys.cr0 & cr0::WP)), false);
  return page + (va & kPageMask);
}

u64 Cpu::read_system(u64 va, unsigned size) {
  u64 value = 0;
  if (const u8* host = system_pointer(va, size, Access::Read)) {
    copy_sized(&value, host, size);
    return value;
  }
  by_page(va, size, [&](u64 at, unsigned done, unsigned length) {
    const auto t = system_walk(at, Access::Read);
    u8* out = reinterpret_cast<u8*>(&value) + done;
    const u8* host = is_apic(t) ? nullptr : memory.at(t, length);
    if (host != nullptr) {
      copy_sized(out, host, length);
    } else {
      by_device_unit(t, length, [&](u64 gpa, unsigned unit_done, u8 unit) {
        const u64 piece = device_read(gpa, unit);
        std::memcpy(out + unit_done, &piece, unit);
      });
    }
  });
  return value;
}

void Cpu::write_system(u64 va, unsigned size, u64 value) {
  if (u8* host = system_pointer(va, size, Access::Write)) {
    copy_sized(host, &value, size);
    written(host, size);
    return;
  }
  by_page(va, size, [&](u64 at, unsigned, unsigned) { system_walk(at, Access::Write); });
  by_page(va, size, [&](u64 at, unsigned done, unsigned length) {
    const u64 gpa = system_walk(at, Access::Write);
    u8* host = is_apic(gpa) ? nullptr : memory.at(gpa, length);
    if (host == nullptr) return;  // descriptor tables in device memory: the write is lost
    copy_sized(host, reinterpret_cast<const u8*>(&value) + done, length);
    written(host, length);
  });
}

u64 Cpu::system_walk(u64 va, Access access) {
  if (!long_mode()) va = static_cast<u32>(va);
  auto context = paging_context(false);
  context.smap_off = false;
  const auto t = x86::walk(memory, context, va, access, &tables);
  if (!t.ok) raise_page_fault(va, t.error_code);
  return t.gpa;
}

void Cpu::copy_sized(void* to, const void* from, unsigned size) {
  switch (size) {
    case 1:
      store(to, load<u8>(from));
      break;
    case 2:
      store(to, load<u16>(from));
      break;
    case 4:
      store(to, load<u32>(from));
      break;
    case 8:
      store(to, load<u64>(from));
      break;
    default:
      std::memcpy(to, from, size);
  }
}

void Cpu::code_written(u64 offset, unsigned size) {
  memory.note_write(offset, size);
  block_ended = true;  // the running block may be the one that changed
}

void Cpu::push(u64& sp, unsigned size, u64 value) {
  const u64 next = (sp - size) & stack_mask;
  const u64 va = linear(SS, next, size, Access::Write);
  switch (size) {
    case 2:
      write_linear<u16>(va, static_cast<u16>(value), SS);
      break;
    case 4:
      write_linear<u32>(va, static_cast<u32>(value), SS);
      break;
    default:
      write_linear<u64>(va, value, SS);
      break;
  }
  sp = next;
}

u64 Cpu::pop(u64& sp, unsigned size) {
  const u64 va = linear(SS, sp & stack_mask, size, Access::Read);
  u64 value;
  switch (size) {
    case 2:
      value = read_linear<u16>(va, SS);
      break;
    case 4:
      value = read_linear<u32>(va, SS);
      break;
    default:
      value = read_linear<u64>(va, SS);
      break;
  }
  sp = (sp + size) & stack_mask;
  return value;
}

}  // namespace vireo::cpu::interp
