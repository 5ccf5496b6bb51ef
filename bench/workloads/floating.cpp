// Floating point workloads. Those marked VECTOR use AVX2 and FMA, as the mathematics libraries of distributions do by
// run-time choice; the rest is plain x86-64, scalar SSE2. Nothing here calls libm but for sqrt, which is exact
// everywhere, so that the checksums agree to the last bit.

#include <array>
#include <bit>
#include <cmath>
#include <complex>
#include <vector>

#include "workload.h"

#define VECTOR [[gnu::target("arch=x86-64-v3"), gnu::optimize("O3", "fast-math")]]

namespace bench {
namespace {

using u64 = std::uint64_t;

void require_vector() {
  require(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), "the CPU has AVX2 and FMA (x86-64-v3)");
}

u64 bits(double value) { return std::bit_cast<u64>(value); }

struct Body {
  double x, y, z, vx, vy, vz, mass;
};

double energy(const std::array<Body, 5>& bodies) {
  double sum = 0;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    const Body& a = bodies[i];
    sum += 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz);
    for (std::size_t j = i + 1; j < bodies.size(); ++j) {
      const double dx = a.x - bodies[j].x, dy = a.y - bodies[j].y, dz = a.z - bodies[j].z;
      sum -= a.mass * bodies[j].mass / std::sqrt(dx * dx + dy * dy + dz * dz);
    }
  }
  return sum;
}

/// Five bodies of the solar system, symplectic steps, scalar double.
u64 run_nbody(u64 iterations, Stopwatch& watch) {
  std::array<Body, 5> bodies{{
      {0, 0, 0, 0, 0, 0, 39.47841760435743},
      {4.841431442464721, -1.160320044027428, -0.10362204447112311, 0.606326392995832, 2.81198684491626,
       -0.02521836165988763, 0.03769367487038949},
      {8.34336671824458, 4.124798564124305, -0.4035234171143214, -1.0107743461787924, 1.8256623712304119,
       0.008415761376584154, 0.011286326131968767},
      {12.894369562139131, -15.111151401698631, -0.22330757889265573, 1.0827910064415354, 0.8687130181696082,
       -0.010832637401363636, 0.0017237240570597112},
      {15.379697114850917, -25.919314609987964, 0.17925877295037118, 0.979090732243898, 0.5946989986476762,
       -0.034755955550407816, 0.0020336868699246304},
  }};
  const double before = energy(bodies);
  constexpr double kStep = 0.001;
  watch.start();
  for (u64 i = 0; i < iterations * 1000; ++i) {
    for (std::size_t n = 0; n < bodies.size(); ++n) {
      Body& a = bodies[n];
      for (std::size_t m = n + 1; m < bodies.size(); ++m) {
        Body& b = bodies[m];
        const double dx = a.x - b.x, dy = a.y - b.y, dz = a.z - b.z;
        const double square = dx * dx + dy * dy + dz * dz;
        const double magnitude = kStep / (square * std::sqrt(square));
        a.vx -= dx * b.mass * magnitude;
        a.vy -= dy * b.mass * magnitude;
        a.vz -= dz * b.mass * magnitude;
        b.vx += dx * a.mass * magnitude;
        b.vy += dy * a.mass * magnitude;
        b.vz += dz * a.mass * magnitude;
      }
    }
    for (Body& body : bodies) {
      body.x += kStep * body.vx;
      body.y += kStep * body.vy;
      body.z += kStep * body.vz;
    }
  }
  watch.stop();
  require(std::abs(energy(bodies) / before - 1) < 0.01, "the energy of the planets is preserved");
  return mix(bits(bodies[1].x), bits(bodies[0].vy));
}

constexpr std::size_t kSide = 96;

VECTOR void multiply(const float* __restrict a, const float* __restrict b, float* __restrict c) {
  for (std::size_t row = 0; row < kSide; ++row) {
    for (std::size_t k = 0; k < kSide; ++k) {
      const float factor = a[row * kSide + k];
      for (std::size_t column = 0; column < kSide; ++column) c[row * kSide + column] += factor * b[k * kSide + column];
    }
  }
}

u64 run_matmul(u64 iterations, Stopwatch& watch) {
  require_vector();
  std::vector<float> a(kSide * kSide), b(kSide * kSide), c(kSide * kSide);
  Random random(5);
  for (auto& value : a) value = static_cast<float>(random.next() % 7);
  for (auto& value : b) value = static_cast<float>(random.next() % 5);
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    a[i % a.size()] = static_cast<float>(i % 3);
    std::fill(c.begin(), c.end(), 0.0F);
    multiply(a.data(), b.data(), c.data());
    sum = mix(sum, std::bit_cast<std::uint32_t>(c[i * 31 % c.size()]));
  }
  watch.stop();
  float expected = 0;  // small whole numbers: exact in every order
  for (std::size_t k = 0; k < kSide; ++k) expected += a[kSide + k] * b[k * kSide + 2];
  require(c[kSide + 2] == expected, "an element of the product");
  return sum;
}

u64 run_mandelbrot(u64 iterations, Stopwatch& watch) {
  constexpr int kPixels = 64;
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    const double shift = static_cast<double>(i % 16) / 1000;
    for (int row = 0; row < kPixels; ++row) {
      for (int column = 0; column < kPixels; ++column) {
        const double cx = -2 + 2.5 * column / kPixels + shift, cy = -1.25 + 2.5 * row / kPixels;
        double x = 0, y = 0;
        int step = 0;
        for (; step < 100 && x * x + y * y < 4; ++step) {
          const double next = x * x - y * y + cx;
          y = 2 * x * y + cy;
          x = next;
        }
        sum += static_cast<u64>(step);
      }
    }
  }
  watch.stop();
  return sum;
}

/// Radix 2, in place, complex double.
class Fft {
 public:
  static constexpr std::size_t kSize = 4096;

  Fft() : roots_(kSize / 2) {
    roots_[0] = 1;
    std::complex<double> root(-1, 0);  // of order 2; each round halves its angle
    for (std::size_t count = kSize / 2; count > 1; count /= 2) {
      const double cosine = std::sqrt((1 + root.real()) / 2);
      root = {root.real() == -1 ? 0 : cosine, -std::sqrt((1 - root.real()) / 2)};
      for (std::size_t n = count / 2; n < kSize / 2; n += count) {
        roots_[n] = n >= count ? times(roots_[n - count / 2], root) : root;
      }
    }
  }

  void transform(std::vector<std::complex<double>>& data) const {
    for (std::size_t n = 1, reversed = 0; n < kSize; ++n) {
      std::size_t bit = kSize / 2;
      for (; reversed & bit; bit /= 2) reversed ^= bit;
      reversed ^= bit;
      if (n < reversed) std::swap(data[n], data[reversed]);
    }
    for (std::size_t half = 1; half < kSize; half *= 2) {
      for (std::size_t start = 0; start < kSize; start += 2 * half) {
        for (std::size_t n = 0; n < half; ++n) {
          const auto low = data[start + n], high = times(data[start + n + half], roots_[n * (kSize / 2 / half)]);
          data[start + n] = low + high;
          data[start + n + half] = low - high;
        }
      }
    }
  }

 private:
  // Without the special cases of the standard's operator.
  static std::complex<double> times(std::complex<double> a, std::complex<double> b) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  }

  std::vector<std::complex<double>> roots_;
};

u64 run_fft(u64 iterations, Stopwatch& watch) {
  const Fft fft;
  std::vector<std::complex<double>> data(Fft::kSize);
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    for (std::size_t n = 0; n < data.size(); ++n) data[n] = n % 64 == i % 64 ? 1 : 0;
    fft.transform(data);
    sum = mix(sum, bits(data[64 + i % 64].real()));
  }
  watch.stop();
  // A comb of 64 teeth becomes a comb of peaks 64 high at every 64th place.
  require(std::abs(std::abs(data[64]) - 64) < 1e-9 && std::abs(data[33]) < 1e-9, "the spectrum of a comb");
  return sum;
}

VECTOR float dot(const float* a, const float* b, std::size_t size) {
  float sum = 0;
  for (std::size_t n = 0; n < size; ++n) sum += a[n] * b[n];
  return sum;
}

u64 run_dot(u64 iterations, Stopwatch& watch) {
  require_vector();
  std::vector<float> a(4096), b(4096);
  for (std::size_t n = 0; n < a.size(); ++n) {
    a[n] = static_cast<float>(n % 13);
    b[n] = static_cast<float>(n % 11);
  }
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    a[i % a.size()] = static_cast<float>(i % 17);
    sum = mix(sum, std::bit_cast<std::uint32_t>(dot(a.data(), b.data(), a.size())));
  }
  watch.stop();
  return sum;
}

constexpr Workload kWorkloads[] = {
    {"nbody", 2000, run_nbody}, {"matmul", 8000, run_matmul}, {"mandelbrot", 700, run_mandelbrot},
    {"fft", 1500, run_fft},     {"dot", 500000, run_dot},
};

}  // namespace

std::span<const Workload> floating_workloads() { return kWorkloads; }

}  // namespace bench
