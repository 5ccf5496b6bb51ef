// Descriptors, the checks of a segment load, and stacks that are about to become current.
#include "cpu/interp/segment.h"

#include <cstring>

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u32 kV86Attributes = 0xF3;  // present, DPL 3, data read/write accessed
constexpr u32 kRealModeAttributes = 0x93;
constexpr u64 kAccessedInDescriptor = bit(40);

}  // namespace

u32 Descriptor::limit() const {
  const u32 value = static_cast<u32>(bits(raw, 0, 16) | (bits(raw, 48, 4) << 16));
  return raw & bit(55) ? (value << 12) | 0xFFF : value;
}

std::optional<Descriptor> find_descriptor(Cpu& cpu, u16 selector) {
  u64 base = cpu.sys.gdtr.base, limit = cpu.sys.gdtr.limit;
  if (selector & 4) {
    const Segment& ldt = cpu.sys.segment[LDTR];
    if (ldt.unusable() || is_null(ldt.selector)) return {};
    base = ldt.base;
    limit = ldt.limit;
  }
  const u64 offset = selector & 0xFFF8u;
  if (offset + 7 > limit) return {};
  return Descriptor{.raw = cpu.read_system(base + offset, 8), .address = base + offset};
}

Descriptor fetch_descriptor(Cpu& cpu, u16 selector, Vector vector, u32 ext) {
  const auto found = find_descriptor(cpu, selector);
  if (!found) cpu.raise(vector, selector_error(selector, ext));
  return *found;
}

std::optional<u64> find_upper_half(Cpu& cpu, u16 selector, const Descriptor& descriptor) {
  const u64 limit = selector & 4 ? cpu.sys.segment[LDTR].limit : cpu.sys.gdtr.limit;
  if ((selector & 0xFFF8u) + 15 > limit) return {};
  return cpu.read_system(descriptor.address + 8, 8);
}

void mark_accessed(Cpu& cpu, Descriptor& descriptor) {
  if (descriptor.raw & kAccessedInDescriptor) return;
  descriptor.raw |= kAccessedInDescriptor;
  cpu.write_system(descriptor.address + 5, 1, bits(descriptor.raw, 40, 8));
}

Segment make_segment(u16 selector, const Descriptor& descriptor) {
  return {.selector = selector,
          .attributes = descriptor.attributes(),
          .limit = descriptor.limit(),
          .base = descriptor.base()};
}

Segment null_segment(u16 selector, unsigned dpl) {
  return {.selector = selector, .attributes = Segment::kUnusable | (dpl << 5), .limit = 0, .base = 0};
}

Segment real_segment(const Segment& old, u16 selector) {
  Segment segment = old;
  if (segment.unusable() || !segment.s()) segment = {.attributes = kRealModeAttributes, .limit = 0xFFFF};
  segment.selector = selector;
  segment.base = u64{selector} << 4;
  segment.attributes = (segment.attributes & ~0x60u) | 0x80;
  return segment;
}

Segment v86_segment(u16 selector) {
  return {.selector = selector, .attributes = kV86Attributes, .limit = 0xFFFF, .base = u64{selector} << 4};
}

Segment check_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, Vector vector, u32 ext) {
  if (is_null(selector)) cpu.raise(vector, ext);
  auto descriptor = fetch_descriptor(cpu, selector, vector, ext);
  if (rpl_of(selector) != cpl || descriptor.dpl() != cpl || !descriptor.is_writable_data())
    cpu.raise(vector, selector_error(selector, ext));
  if (!descriptor.present()) cpu.raise(Vector::SS, selector_error(selector, ext));
  mark_accessed(cpu, descriptor);
  return make_segment(selector, descriptor);
}

Segment check_data_segment(Cpu& cpu, Seg seg, u16 selector) {
  if (!cpu.protected_mode()) return real_segment(cpu.sys.segment[seg], selector);
  if (cpu.v86()) return v86_segment(selector);
  if (seg == SS) {
    if (is_null(selector) && cpu.code64() && cpu.cpl < 3 && rpl_of(selector) == cpu.cpl)
      return null_segment(selector, cpu.cpl);
    return check_stack_segment(cpu, selector, cpu.cpl, Vector::GP, 0);
  }
  if (is_null(selector)) return null_segment(selector);
  auto descriptor = fetch_descriptor(cpu, selector, Vector::GP);
  if (!descriptor.is_readable()) cpu.raise(Vector::GP, selector_error(selector));
  const bool checked = !descriptor.is_code() || !descriptor.is_conforming();
  if (checked && (rpl_of(selector) > descriptor.dpl() || cpu.cpl > descriptor.dpl()))
    cpu.raise(Vector::GP, selector_error(selector));
  if (!descriptor.present()) cpu.raise(Vector::NP, selector_error(selector));
  mark_accessed(cpu, descriptor);
  return make_segment(selector, descriptor);
}

void load_segment(Cpu& cpu, Seg seg, u16 selector) {
  cpu.sys.segment[seg] = check_data_segment(cpu, seg, selector);
  cpu.update_mode();
}

void drop_inaccessible_segments(Cpu& cpu, unsigned cpl) {
  for (const Seg seg : {ES, DS, FS, GS}) {
    const Segment& segment = cpu.sys.segment[seg];
    const bool conforming_code = (segment.type() & (descriptor::kCode | descriptor::kConforming)) ==
                                 (descriptor::kCode | descriptor::kConforming);
    if (segment.unusable()) {
      // An already null register keeps its base (FS and GS of 64-bit programs) but becomes the null selector.
      cpu.sys.segment[seg].selector = 0;
    } else if (segment.dpl() < cpl && !conforming_code) {
      cpu.sys.segment[seg] = null_segment(0);
    }
  }
}

Segment make_code_segment(Cpu& cpu, u16 selector, Descriptor& descriptor, unsigned cpl, u64 offset, u32 ext) {
  Segment cs = make_segment(static_cast<u16>((selector & ~3u) | cpl), descriptor);
  if (is_code64(cpu, cs) ? !x86::is_canonical(offset) : offset > cs.limit) cpu.raise(Vector::GP, ext);
  mark_accessed(cpu, descriptor);
  cs.attributes = descriptor.attributes();
  return cs;
}

void enter_code(Cpu& cpu, const Segment& cs, u64 offset) {
  cpu.sys.segment[CS] = cs;
  cpu.update_mode();
  cpu.next_rip = cpu.code64() ? offset : static_cast<u32>(offset);
}

void StackFrame::push(unsigned size, u64 value) {
  const u64 next = (sp_ & ~mask_) | ((sp_ - size) & mask_);
  const u64 offset = next & mask_;
  u64 va = offset;
  if (flat_) {
    if (!x86::is_canonical(va) || !x86::is_canonical(va + size - 1)) cpu_.raise(Vector::SS, error_);
  } else {
    const u64 last = offset + size - 1;
    const bool expand_down = ss_.type() & descriptor::kExpandDown;
    const u64 top = ss_.db() ? 0xFFFFFFFF : 0xFFFF;
    if (expand_down ? offset <= ss_.limit || last > top : last > ss_.limit) cpu_.raise(Vector::SS, error_);
    va = static_cast<u32>(ss_.base + offset);
  }
  const bool supervisor = level_ == Inner;
  // Where the rights are those of a view of the TLB, its pages need no walk.
  const auto kernel_view = cpu_.sys.cr4 & cr4::SMAP ? SoftTlb::Supervisor : SoftTlb::SupervisorUserAccess;
  u8* host = cpu_.view == SoftTlb::Strict ? nullptr : cpu_.tlb.write(supervisor ? kernel_view : cpu_.view, va, size);
  if (host != nullptr) {
    std::memcpy(host, &value, size);
    cpu_.written(host, size);
  } else if (supervisor) {
    cpu_.write_system(va, size, value & mask_for_size(size));
  } else {
    cpu_.write_bytes(va, &value, size, SS);
  }
  sp_ = next;
}

StackPointer tss_stack(Cpu& cpu, unsigned cpl, u32 ext) {
  const Segment& tr = cpu.sys.segment[TR];
  const bool wide = tr.type() & 8;
  const u64 offset = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
  if (offset + (wide ? 5 : 3) > tr.limit) cpu.raise(Vector::TS, selector_error(tr.selector, ext));
  const u64 at = tr.base + offset;
  const unsigned size = wide ? 4 : 2;
  const u64 sp = cpu.read_system(at, size);
  return {.ss = static_cast<u16>(cpu.read_system(at + size, 2)), .sp = sp};
}

u64 tss_stack64(Cpu& cpu, unsigned slot, u32 ext) {
  const Segment& tr = cpu.sys.segment[TR];
  const u64 offset = 4 + 8 * slot;
  if (offset + 7 > tr.limit) cpu.raise(Vector::TS, selector_error(tr.selector, ext));
  return cpu.read_system(tr.base + offset, 8);
}

}  // namespace vireo::cpu::interp
