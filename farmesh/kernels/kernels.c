// Decoder blocks and large linear layers on CPUs: weights of 4 or 8 bits, activations of 16.
//
// Numbers. A weight matrix is cut into groups of 32 inputs that share a scale (and a minimum),
// as in GGUF files: w = scale * q + minimum. A row of activations is cut the same way, and each
// group of it rounded to 16 bits with a scale of its own. Sums inside a group are integers, and
// exact. Groups are added in float32, always in the same order. So what a row becomes does not
// depend on how many rows are computed with it, nor on what is in them.
//
// Layout. LANES outputs make a tile. A tile holds its groups one behind the other, each as
// weights, then LANES scales, then LANES minima if there are any: one stream of memory. Inside a
// group, step s (0 to 15) has inputs 2s and 2s + 1 of all LANES outputs, for an instruction that
// multiplies pairs of 16-bit numbers and adds neighbours (pmaddwd and its kin).
//
// Threads. A call is a row of phases; a phase is a number of items that whoever is there takes one
// after the other. A helper that gets no processor in time costs nothing but its help.

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512BW__)
#define LANES 16
#else
#define LANES 8
#endif
#define GROUP 32
#define STEPS (GROUP / 2)
#define MOST_ROWS 4    // rows of activations that the inner loop has at once
#define ROW_BLOCK 32   // rows whose activations stay in a core's cache beside a tile
#define MOST_THREADS 64

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef int16_t vs __attribute__((vector_size(LANES * 4)));
typedef uint16_t vu __attribute__((vector_size(LANES * 4)));
typedef int8_t vb __attribute__((vector_size(LANES * 2)));
typedef _Float16 vh __attribute__((vector_size(LANES * 2)));
typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef int16_t s8 __attribute__((vector_size(16)));

// --- What Python describes: kernels.py has the same structures -------------------------------------

enum { FOUR_BITS = 1, MINIMA = 2, WIDE = 4, CENTERED = 8 };  // WIDE: scales in float32, else float16

typedef struct {
  const uint8_t *data;
  const float *bias;  // [outs] or null
  int32_t outs, ins;  // ins: a multiple of GROUP
  int32_t flags;
} Matrix;

typedef struct {
  Matrix query, key, value, output, gate, up, down;
  const float *attention_norm, *mlp_norm;  // [hidden]
  const float *query_norm, *key_norm;      // [head_dim] or null
  float *keys, *values;                    // [kv_heads, slots, head_dim]
  int32_t window;                          // keys that a token sees, itself included; 0: all
  int32_t rotary;                          // 0: positions do not enter
} Block;

typedef struct {
  int32_t hidden, inner, heads, kv_heads, head_dim, rotary_dim, slots;
  float epsilon, scaling;
} Shape;

// --- Vectors -------------------------------------------------------------------------------------

#define LOAD(type, from)                    \
  ({                                        \
    type loaded;                            \
    memcpy(&loaded, (from), sizeof loaded); \
    loaded;                                 \
  })
#define STORE(to, vector)                    \
  ({                                         \
    __typeof__(vector) stored = (vector);    \
    memcpy((to), &stored, sizeof stored);    \
  })
#define FMA __builtin_elementwise_fma

INLINE vi dot2(vs weights, vs pair) {
#if LANES == 16
  return (vi)__builtin_ia32_pmaddwd512(weights, pair);
#elif defined(__AVX2__)
  return (vi)__builtin_ia32_pmaddwd256(weights, pair);
#else
  vi low = ((vi)weights << 16 >> 16) * ((vi)pair << 16 >> 16);
  return low + ((vi)weights >> 16) * ((vi)pair >> 16);
#endif
}

// Nothing happens here: it keeps the compiler from moving sums about until registers run out.
INLINE vi settled(vi v) {
#if defined(__AVX2__)
  __asm__("" : "+v"(v));
#endif
  return v;
}

INLINE float sum8(f8 v) {
  float low = (v[0] + v[4]) + (v[2] + v[6]), high = (v[1] + v[5]) + (v[3] + v[7]);
  return low + high;
}

INLINE float max8(f8 v) {
  float most = v[0];
  for (int i = 1; i < 8; i++) most = v[i] > most ? v[i] : most;
  return most;
}

// exp to within two units in the last place, as in the Cephes library (expf).
#define EXPONENTIAL(name, vector, whole)                                                       \
  INLINE vector name(vector x) {                                                               \
    x = __builtin_elementwise_max(x, (vector){} - 87.3f);                                      \
    x = __builtin_elementwise_min(x, (vector){} + 88.3f);                                      \
    vector n = __builtin_elementwise_rint(x * 1.44269504f);                                    \
    vector r = FMA(n, (vector){} - 0.693359375f, x);                                           \
    r = FMA(n, (vector){} + 2.12194440e-4f, r);                                                \
    vector p = (vector){} + 1.9875691500e-4f;                                                  \
    p = FMA(p, r, (vector){} + 1.3981999507e-3f);                                              \
    p = FMA(p, r, (vector){} + 8.3334519073e-3f);                                              \
    p = FMA(p, r, (vector){} + 4.1665795894e-2f);                                              \
    p = FMA(p, r, (vector){} + 1.6666665459e-1f);                                              \
    p = FMA(p, r, (vector){} + 5.0000001201e-1f);                                              \
    whole exponent = (__builtin_convertvector(n, whole) + 127) << 23;                          \
    return (FMA(p, r * r, r) + 1.0f) * (vector)exponent;                                       \
  }

EXPONENTIAL(exp8, f8, i8)
EXPONENTIAL(exponential, vf, vi)

INLINE vf silu(vf x) { return x / (1.0f + exponential(-x)); }

// --- Threads -------------------------------------------------------------------------------------

typedef void (*Job)(const void *args, int item);

// Of one phase: its number, how many items it has, and how many are taken.
#define TICKET(phase, total) ((uint64_t)(phase) << 48 | (uint64_t)(total) << 24)
#define TOTAL(ticket) ((uint32_t)((ticket) >> 24) & 0xffffff)
#define TAKEN(ticket) ((uint32_t)(ticket) & 0xffffff)
#define PATIENT_SPINS 4000  // some 50 microseconds
#define HASTY_SPINS 400

static struct {
  _Atomic uint64_t ticket;
  _Atomic uint32_t done;      // items of this phase that are finished
  _Atomic int32_t threads;    // that this call wants, its own included; 0: nobody calls
  _Atomic int32_t sleepers;
  Job job;
  const void *args;
  int32_t started;            // helpers
  uint16_t phase;
  pthread_mutex_t caller;     // held by the one call that has the helpers
  pthread_mutex_t lock;       // of those who sleep
  pthread_cond_t wake;
} crew = {.caller = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local int in_call;  // this thread's call has the helpers

INLINE void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Takes items of the present phase until there are none; whether there was one.
static int take_items(void) {
  int took = 0;
  for (;;) {
    uint64_t ticket = atomic_load_explicit(&crew.ticket, memory_order_acquire);
    if (TAKEN(ticket) >= TOTAL(ticket)) return took;
    ticket = atomic_fetch_add_explicit(&crew.ticket, 1, memory_order_acq_rel);
    if (TAKEN(ticket) >= TOTAL(ticket)) return took;
    // The phase cannot end before this item is done: job and args are its own.
    crew.job(crew.args, (int)TAKEN(ticket));
    atomic_fetch_add_explicit(&crew.done, 1, memory_order_release);
    took = 1;
  }
}

static void sleep_until_called(int number) {
  pthread_mutex_lock(&crew.lock);
  atomic_fetch_add(&crew.sleepers, 1);
  while (atomic_load(&crew.threads) <= number) pthread_cond_wait(&crew.wake, &crew.lock);
  atomic_fetch_sub(&crew.sleepers, 1);
  pthread_mutex_unlock(&crew.lock);
}

static void *helper(void *argument) {
  int number = (int)(intptr_t)argument, spins = 0;
  for (;;) {
    if (atomic_load_explicit(&crew.threads, memory_order_acquire) > number) {
      if (take_items())
        spins = 0;
      else if (++spins > HASTY_SPINS && spins % 64 == 0)
        sched_yield();  // somebody else may need the processor, the caller too
      else
        pause_briefly();
    } else if (++spins > PATIENT_SPINS) {
      sleep_until_called(number);
      spins = 0;
    } else {
      pause_briefly();
    }
  }
  return NULL;
}

static void begin_call(int threads) {
  in_call = 0;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads < 2 || pthread_mutex_trylock(&crew.caller)) return;
  while (crew.started + 1 < threads) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, helper, (void *)(intptr_t)(crew.started + 1))) break;
    pthread_detach(thread);
    crew.started++;
  }
  in_call = 1;
  atomic_store(&crew.threads, threads);
  if (atomic_load(&crew.sleepers)) {
    pthread_mutex_lock(&crew.lock);
    pthread_cond_broadcast(&crew.wake);
    pthread_mutex_unlock(&crew.lock);
  }
}

static void end_call(void) {
  if (!in_call) return;
  atomic_store(&crew.threads, 0);
  in_call = 0;
  pthread_mutex_unlock(&crew.caller);
}

static void run(Job job, const void *args, int total) {
  if (!in_call || total < 2) {
    for (int item = 0; item < total; item++) job(args, item);
    return;
  }
  crew.job = job;
  crew.args = args;
  atomic_store_explicit(&crew.done, 0, memory_order_relaxed);
  atomic_store_explicit(&crew.ticket, TICKET(++crew.phase, total), memory_order_release);
  take_items();
  for (int spins = 0; atomic_load_explicit(&crew.done, memory_order_acquire) < (uint32_t)total;)
    if (++spins > HASTY_SPINS && spins % 64 == 0)
      sched_yield();
    else
      pause_briefly();
}

INLINE int share(int count) {  // of so many pieces, how many make an item
  int threads = in_call ? atomic_load_explicit(&crew.threads, memory_order_relaxed) : 1;
  int each = count / (8 * threads);
  return each < 1 ? 1 : each;
}

// --- Rows of activations ---------------------------------------------------------------------------

typedef struct {
  int16_t *numbers;  // [rows, ins]
  float *scales;     // [rows, ins / GROUP]
  int32_t *sums;     // [rows, ins / GROUP], of the numbers
  float *totals;     // [rows, ins / GROUP], sums times scales
} Rounded;

static void round_row(const float *x, int ins, Rounded to, int row) {
  int16_t *numbers = to.numbers + (size_t)row * ins;
  float *scales = to.scales + (size_t)row * (ins / GROUP);
  int32_t *sums = to.sums + (size_t)row * (ins / GROUP);
  for (int g = 0; g < ins / GROUP; g++) {
    f8 part[4], most = {}, nothing = {};
    for (int i = 0; i < 4; i++) {
      part[i] = LOAD(f8, x + g * GROUP + i * 8);
      most = __builtin_elementwise_max(most, __builtin_elementwise_abs(part[i]));
      nothing += part[i] * 0;  // but NaN where a number is not finite, which `most` may lose
    }
    float largest = max8(most), scale = largest / 32767.0f;
    float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    i8 sum = {};
    for (int i = 0; i < 4; i++) {
      f8 scaled = __builtin_elementwise_rint(part[i] * inverse);
      scaled = __builtin_elementwise_min(scaled, (f8){} + 32767.0f);
      scaled = __builtin_elementwise_max(scaled, (f8){} - 32767.0f);
      i8 whole = __builtin_convertvector(scaled, i8);
      sum += whole;
      STORE(numbers + g * GROUP + i * 8, __builtin_convertvector(whole, s8));
    }
    int32_t total = 0;
    for (int i = 0; i < 8; i++) total += sum[i];
    scales[g] = scale + sum8(nothing);
    sums[g] = total;
    to.totals[(size_t)row * (ins / GROUP) + g] = scales[g] * (float)total;
  }
}

// Root mean square norm (arXiv:1910.07467).
static void norm_row(const float *x, const float *weight, int size, float epsilon, float *y) {
  f8 squares = {};
  for (int i = 0; i < size; i += 8) {
    f8 part = LOAD(f8, x + i);
    squares = FMA(part, part, squares);
  }
  float factor = 1.0f / sqrtf(sum8(squares) / (float)size + epsilon);
  for (int i = 0; i < size; i += 8)
    STORE(y + i, LOAD(f8, x + i) * factor * LOAD(f8, weight + i));
}

// --- Weights times rows --------------------------------------------------------------------------

INLINE size_t group_bytes(int flags) {
  size_t scale = flags & WIDE ? 4 : 2;
  return LANES * (GROUP / (flags & FOUR_BITS ? 2 : 1) + scale * (flags & MINIMA ? 2 : 1));
}

INLINE size_t tile_bytes(const Matrix *m) { return group_bytes(m->flags) * (m->ins / GROUP); }

INLINE vf scales_at(const uint8_t *from, int flags) {
  if (flags & WIDE) return LOAD(vf, from);
  return __builtin_convertvector(LOAD(vh, from), vf);
}

// ROWS rows through TILES tiles: to[row][tile]. Rows and tiles are constants where this is inlined.
INLINE void multiply(const uint8_t *const *tiles, int flags, int four, int ins, Rounded x, int row,
                     int ROWS, int TILES, vf to[MOST_ROWS][2]) {
  size_t bytes = group_bytes(flags);
  int weights = LANES * GROUP / (four ? 2 : 1), groups = ins / GROUP;
  const int16_t *numbers[MOST_ROWS];
  for (int r = 0; r < ROWS; r++) {
    numbers[r] = x.numbers + (size_t)(row + r) * ins;
    for (int t = 0; t < TILES; t++) to[r][t] = (vf){};
  }
  for (int g = 0; g < groups; g++) {
    vi sums[MOST_ROWS][2];
    const uint8_t *at[2];
    for (int t = 0; t < TILES; t++) at[t] = tiles[t] + bytes * g;
    for (int r = 0; r < ROWS; r++) {
      // Weights from -8 to 7 are stored from 0 to 15.
      int32_t zero = flags & CENTERED ? -8 * x.sums[(size_t)(row + r) * groups + g] : 0;
      for (int t = 0; t < TILES; t++) sums[r][t] = (vi){} + zero;
    }
#pragma clang loop unroll(disable)
    for (int quad = 0; quad < STEPS / 4; quad++) {
      vu packed[2];
      if (four)
        for (int t = 0; t < TILES; t++) packed[t] = LOAD(vu, at[t] + quad * sizeof(vu));
#pragma clang loop unroll(full)
      for (int n = 0; n < 4; n++) {
        int step = quad * 4 + n;
        vs part[2];
        for (int t = 0; t < TILES; t++)
          if (four)
            part[t] = (vs)(n == 3 ? packed[t] >> 12 : (packed[t] >> (4 * n)) & 15);
          else
            part[t] = __builtin_convertvector(LOAD(vb, at[t] + step * sizeof(vb)), vs);
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++) {
          vs pair = (vs)((vi){} + LOAD(int32_t, numbers[r] + g * GROUP + 2 * step));
#pragma clang loop unroll(full)
          for (int t = 0; t < TILES; t++) sums[r][t] = settled(sums[r][t] + dot2(part[t], pair));
        }
      }
    }
    for (int t = 0; t < TILES; t++) {
      vf scale = scales_at(at[t] + weights, flags);
      for (int r = 0; r < ROWS; r++) {
        float row_scale = x.scales[(size_t)(row + r) * groups + g];
        to[r][t] = FMA(__builtin_convertvector(sums[r][t], vf), scale * row_scale, to[r][t]);
      }
      if (flags & MINIMA) {
        vf minimum = scales_at(at[t] + weights + LANES * (flags & WIDE ? 4 : 2), flags);
        for (int r = 0; r < ROWS; r++)
          to[r][t] = FMA(minimum, x.totals[(size_t)(row + r) * groups + g] - (vf){}, to[r][t]);
      }
    }
  }
}

#define EACH_ROWS(four, TILES)                                                         \
  switch (rows) {                                                                      \
    case 1: multiply(tiles, flags, four, ins, x, row, 1, TILES, to); break;            \
    case 2: multiply(tiles, flags, four, ins, x, row, 2, TILES, to); break;            \
    case 3: multiply(tiles, flags, four, ins, x, row, 3, TILES, to); break;            \
    default: multiply(tiles, flags, four, ins, x, row, 4, TILES, to); break;           \
  }

static void two_tiles(const uint8_t *const *tiles, int flags, int ins, Rounded x, int row, int rows,
                      vf to[MOST_ROWS][2]) {
  if (flags & FOUR_BITS)
    EACH_ROWS(1, 2)
  else
    EACH_ROWS(0, 2)
}

static void one_tile(const uint8_t *const *tiles, int flags, int ins, Rounded x, int row, int rows,
                     vf to[MOST_ROWS][2]) {
  if (flags & FOUR_BITS)
    EACH_ROWS(1, 1)
  else
    EACH_ROWS(0, 1)
}

INLINE int tiles_of(const Matrix *m) { return (m->outs + LANES - 1) / LANES; }
INLINE int pairs_of(const Matrix *m) { return (tiles_of(m) + 1) / 2; }
INLINE const uint8_t *tile_at(const Matrix *m, int tile) { return m->data + tile_bytes(m) * tile; }

// A tile's outputs, as many as the matrix has: the last tile may be too wide.
INLINE vf load_tile(const float *from, const Matrix *m, int tile) {
  int left = m->outs - tile * LANES;
  if (left >= LANES) return LOAD(vf, from + tile * LANES);
  vf part = {};
  for (int i = 0; i < left; i++) part[i] = from[tile * LANES + i];
  return part;
}

INLINE void store_tile(float *to, const Matrix *m, int tile, vf numbers) {
  int left = m->outs - tile * LANES;
  if (left >= LANES)
    STORE(to + tile * LANES, numbers);
  else
    for (int i = 0; i < left; i++) to[tile * LANES + i] = numbers[i];
}

INLINE vf with_bias(vf sums, const Matrix *m, int tile) {
  return m->bias ? sums + load_tile(m->bias, m, tile) : sums;
}

INLINE void put(vf sums, const Matrix *m, int tile, float *to, int add) {
  sums = with_bias(sums, m, tile);
  store_tile(to, m, tile, add ? load_tile(to, m, tile) + sums : sums);
}

// Matrices that read the same rows, and where each writes.
typedef struct {
  const Matrix *matrices[3];
  float *to[3];  // [rows, stride]
  int stride[3];
  int count, add, rows, each;  // each: pairs of tiles in an item
  Rounded x;
} Linear;

static void linear_pair(const Linear *job, const Matrix *m, int pair, int which, int first, int end) {
  int tile = pair * 2, tiles = tile + 1 < tiles_of(m) ? 2 : 1;
  const uint8_t *at[2] = {tile_at(m, tile), tile_at(m, tile + tiles - 1)};
  for (int row = first; row < end; row += MOST_ROWS) {
    int rows = end - row < MOST_ROWS ? end - row : MOST_ROWS;
    vf sums[MOST_ROWS][2];
    (tiles == 2 ? two_tiles : one_tile)(at, m->flags, m->ins, job->x, row, rows, sums);
    for (int r = 0; r < rows; r++)
      for (int t = 0; t < tiles; t++)
        put(sums[r][t], m, tile + t, job->to[which] + (size_t)(row + r) * job->stride[which],
            job->add);
  }
}

static int linear_pairs(const Linear *job) {
  int pairs = 0;
  for (int i = 0; i < job->count; i++) pairs += pairs_of(job->matrices[i]);
  return pairs;
}

static void linear_item(const void *args, int item) {
  const Linear *job = args;
  int pairs = linear_pairs(job), per_block = (pairs + job->each - 1) / job->each;
  int first = item / per_block * ROW_BLOCK, start = item % per_block * job->each;
  int end = first + ROW_BLOCK < job->rows ? first + ROW_BLOCK : job->rows;
  for (int p = start; p < start + job->each && p < pairs; p++) {
    int which = 0, pair = p;
    while (pair >= pairs_of(job->matrices[which])) pair -= pairs_of(job->matrices[which++]);
    linear_pair(job, job->matrices[which], pair, which, first, end);
  }
}

static void linear(Linear job) {
  int pairs = linear_pairs(&job), blocks = (job.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  job.each = share(pairs);
  run(linear_item, &job, blocks * ((pairs + job.each - 1) / job.each));
}

// SwiGLU (arXiv:2002.05202): silu(gate) * up, a tile of each at a time.
typedef struct {
  const Matrix *gate, *up;
  float *to;  // [rows, inner]
  int rows, each;
  Rounded x;
} Gated;

static void gated_tile(const Gated *job, int tile, int first, int end) {
  const Matrix *gate = job->gate, *up = job->up;
  const uint8_t *at[2] = {tile_at(gate, tile), tile_at(up, tile)};
  for (int row = first; row < end; row += MOST_ROWS) {
    int rows = end - row < MOST_ROWS ? end - row : MOST_ROWS;
    vf sums[MOST_ROWS][2], more[MOST_ROWS][2];
    if (gate->flags == up->flags) {
      two_tiles(at, gate->flags, gate->ins, job->x, row, rows, sums);
    } else {
      one_tile(at, gate->flags, gate->ins, job->x, row, rows, sums);
      one_tile(at + 1, up->flags, up->ins, job->x, row, rows, more);
      for (int r = 0; r < rows; r++) sums[r][1] = more[r][0];
    }
    for (int r = 0; r < rows; r++) {
      vf both = silu(with_bias(sums[r][0], gate, tile)) * with_bias(sums[r][1], up, tile);
      store_tile(job->to + (size_t)(row + r) * gate->outs, gate, tile, both);
    }
  }
}

static void gated_item(const void *args, int item) {
  const Gated *job = args;
  int tiles = tiles_of(job->gate), per_block = (tiles + job->each - 1) / job->each;
  int first = item / per_block * ROW_BLOCK, start = item % per_block * job->each;
  int end = first + ROW_BLOCK < job->rows ? first + ROW_BLOCK : job->rows;
  for (int tile = start; tile < start + job->each && tile < tiles; tile++)
    gated_tile(job, tile, first, end);
}

static void gated(Gated job) {
  int tiles = tiles_of(job.gate), blocks = (job.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  job.each = share(tiles);
  run(gated_item, &job, blocks * ((tiles + job.each - 1) / job.each));
}

// --- Work on whole rows ----------------------------------------------------------------------------

typedef struct {
  const float *x;       // [rows, size]
  const float *weight;  // of the norm; null: none
  float *scratch;       // [rows, size]
  int rows, size;
  float epsilon;
  Rounded to;
} Rounding;

static void rounding_item(const void *args, int row) {
  const Rounding *job = args;
  const float *x = job->x + (size_t)row * job->size;
  if (job->weight) {
    float *normed = job->scratch + (size_t)row * job->size;
    norm_row(x, job->weight, job->size, job->epsilon, normed);
    x = normed;
  }
  round_row(x, job->size, job->to, row);
}

// Few rows are done before a helper would have noticed.
static void each_row(Job job, const void *args, int rows) {
  if (rows >= 8)
    run(job, args, rows);
  else
    for (int row = 0; row < rows; row++) job(args, row);
}

// --- Attention -----------------------------------------------------------------------------------

typedef struct {
  const Shape *shape;
  const Block *block;
  const int32_t *bases, *positions;  // of each row: first slot of its session, place in it
  const float *cosines, *sines;      // [rows, rotary_dim / 2]
  float *queries, *fresh_keys, *fresh_values, *to;  // [rows, heads x head_dim]
} Attention;

static void turn(float *head, const float *cosines, const float *sines, int half) {
  // Rotary position embedding, the halves of a head turned against one another (arXiv:2104.09864).
  for (int i = 0; i < half; i++) {
    float a = head[i], b = head[i + half];
    head[i] = a * cosines[i] - b * sines[i];
    head[i + half] = b * cosines[i] + a * sines[i];
  }
}

static void place_row(const void *args, int row) {
  const Attention *job = args;
  const Shape *s = job->shape;
  const Block *b = job->block;
  int dim = s->head_dim, half = s->rotary_dim / 2;
  const float *cosines = job->cosines + (size_t)row * half, *sines = job->sines + (size_t)row * half;
  float *query = job->queries + (size_t)row * s->heads * dim;
  float *key = job->fresh_keys + (size_t)row * s->kv_heads * dim;
  float *value = job->fresh_values + (size_t)row * s->kv_heads * dim;
  size_t slot = job->bases[row] + job->positions[row];
  for (int h = 0; h < s->heads; h++) {
    if (b->query_norm) norm_row(query + h * dim, b->query_norm, dim, s->epsilon, query + h * dim);
    if (b->rotary) turn(query + h * dim, cosines, sines, half);
  }
  for (int h = 0; h < s->kv_heads; h++) {
    if (b->key_norm) norm_row(key + h * dim, b->key_norm, dim, s->epsilon, key + h * dim);
    if (b->rotary) turn(key + h * dim, cosines, sines, half);
    size_t to = ((size_t)h * s->slots + slot) * dim;
    memcpy(b->keys + to, key + h * dim, dim * sizeof(float));
    memcpy(b->values + to, value + h * dim, dim * sizeof(float));
  }
}

#define PAIRWISE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

INLINE f8 sum_each(f8 v[8]) {  // lane i: the sum of v[i]
  f8 two[4], four[2];
  for (int i = 0; i < 4; i++)
    two[i] = PAIRWISE(v[2 * i], v[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
             PAIRWISE(v[2 * i], v[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  for (int i = 0; i < 2; i++)
    four[i] = PAIRWISE(two[2 * i], two[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
              PAIRWISE(two[2 * i], two[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  return PAIRWISE(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11) +
         PAIRWISE(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

// Scores of up to 8 keys for one query; lanes beyond `count` repeat the last key.
INLINE f8 scores8(const float *query, const float *keys, int count, int dim) {
  const float *at[8];
  f8 sums[8] = {};
  for (int i = 0; i < 8; i++) at[i] = keys + (size_t)(i < count ? i : count - 1) * dim;
  for (int d = 0; d < dim; d += 8) {
    f8 part = LOAD(f8, query + d);
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) sums[i] = FMA(part, LOAD(f8, at[i] + d), sums[i]);
  }
  return sum_each(sums);
}

INLINE void weigh(const float *weights, const float *values, int count, int dim, int PARTS, float *to,
                  float factor) {
  f8 sums[8] = {};
  for (int j = 0; j < count; j++) {
    f8 weight = weights[j] - (f8){};
#pragma clang loop unroll(full)
    for (int i = 0; i < PARTS; i++)
      sums[i] = FMA(weight, LOAD(f8, values + (size_t)j * dim + i * 8), sums[i]);
  }
  for (int i = 0; i < PARTS; i++) STORE(to + i * 8, sums[i] * factor);
}

static void weigh_values(const float *weights, const float *values, int count, int dim, float *to,
                         float factor) {
  int d = 0;
  for (; d + 64 <= dim; d += 64) weigh(weights, values + d, count, dim, 8, to + d, factor);
  for (; d + 32 <= dim; d += 32) weigh(weights, values + d, count, dim, 4, to + d, factor);
  for (; d < dim; d += 8) weigh(weights, values + d, count, dim, 1, to + d, factor);
}

// exp(score - most) in place, zero behind the last; their sum.
static float soften(float *scores, int count) {
  f8 most = (f8){} + scores[0], sum = {};
  int padded = (count + 7) / 8 * 8;
  for (int j = count; j < padded; j++) scores[j] = -INFINITY;
  for (int j = 0; j < padded; j += 8) most = __builtin_elementwise_max(most, LOAD(f8, scores + j));
  float top = max8(most);
  for (int j = 0; j < padded; j += 8) {
    f8 part = exp8(LOAD(f8, scores + j) - top);
    for (int i = 0; j + i >= count - 7 && i < 8; i++)
      if (j + i >= count) part[i] = 0;
    STORE(scores + j, part);
    sum += part;
  }
  return sum8(sum);
}

static float *scratch_for(int count) {
  static _Thread_local float *scratch;
  static _Thread_local int size;
  if (size < count) {
    free(scratch);
    size = count + count / 2 + 64;
    scratch = malloc((size_t)size * sizeof(float));
  }
  return scratch;
}

static void attend_item(const void *args, int item) {
  const Attention *job = args;
  const Shape *s = job->shape;
  int row = item / s->kv_heads, kv = item % s->kv_heads, dim = s->head_dim;
  int groups = s->heads / s->kv_heads, end = job->positions[row] + 1;
  int start = job->block->window && end > job->block->window ? end - job->block->window : 0;
  int count = end - start;
  size_t first = ((size_t)kv * s->slots + job->bases[row] + start) * dim;
  const float *keys = job->block->keys + first, *values = job->block->values + first;
  float *scores = scratch_for((count + 8) * groups);
  size_t head = ((size_t)row * s->heads + kv * groups) * dim;
  for (int j = 0; j < count; j += 8)
    for (int g = 0; g < groups; g++) {
      const float *query = job->queries + head + g * dim;
      f8 part = scores8(query, keys + (size_t)j * dim, count - j < 8 ? count - j : 8, dim);
      STORE(scores + (size_t)g * (count + 8) + j, part * s->scaling);
    }
  for (int g = 0; g < groups; g++) {
    float *own = scores + (size_t)g * (count + 8);
    float sum = soften(own, count);
    weigh_values(own, values, count, dim, job->to + head + g * dim, 1.0f / sum);
  }
}

static void attend(const Attention *job, int rows) {
  each_row(place_row, job, rows);
  run(attend_item, job, rows * job->shape->kv_heads);
}

// --- What Python calls ---------------------------------------------------------------------------

// So that Python can see whether it means the same structures.
int64_t fm_sizes(void) {
  return (int64_t)(sizeof(Matrix) + 1000 * sizeof(Block) + 1000000 * sizeof(Shape));
}

int64_t fm_matrix_bytes(int32_t outs, int32_t ins, int32_t flags) {
  Matrix m = {NULL, NULL, outs, ins, flags};
  return (int64_t)(tile_bytes(&m) * tiles_of(&m));
}

static void put_scale(uint8_t *to, int lane, float value, int flags) {
  _Float16 narrow = (_Float16)value;
  if (flags & WIDE)
    memcpy(to + lane * 4, &value, 4);
  else
    memcpy(to + lane * 2, &narrow, 2);
}

// numbers [outs, ins] (0 to 15 where four bits), scales and minima [outs, ins / GROUP] into tiles.
void fm_pack(int32_t outs, int32_t ins, int32_t flags, const int8_t *numbers, const float *scales,
             const float *minima, uint8_t *data) {
  int groups = ins / GROUP, four = flags & FOUR_BITS;
  size_t bytes = group_bytes(flags), weights = LANES * GROUP / (four ? 2 : 1);
  memset(data, 0, (size_t)fm_matrix_bytes(outs, ins, flags));
  for (int out = 0; out < outs; out++)
    for (int g = 0; g < groups; g++) {
      int lane = out % LANES;
      uint8_t *at = data + ((size_t)(out / LANES) * groups + g) * bytes;
      for (int k = 0; k < GROUP; k++) {
        int8_t number = numbers[(size_t)out * ins + g * GROUP + k];
        int step = k / 2, place = 2 * lane + k % 2;
        if (four)
          ((uint16_t *)at)[step / 4 * 2 * LANES + place] |= (uint16_t)(number << (step % 4 * 4));
        else
          at[step * 2 * LANES + place] = (uint8_t)number;
      }
      put_scale(at + weights, lane, scales[(size_t)out * groups + g], flags);
      if (flags & MINIMA)
        put_scale(at + weights + LANES * (flags & WIDE ? 4 : 2), lane,
                  minima[(size_t)out * groups + g], flags);
    }
}

static float scale_of(const uint8_t *from, int lane, int flags) {
  if (flags & WIDE) return LOAD(float, from + lane * 4);
  return (float)LOAD(_Float16, from + lane * 2);
}

// Rows of a matrix as numbers again: the embeddings of tokens. to: [count, ins]
void fm_rows(const Matrix *m, const int64_t *ids, int32_t count, float *to) {
  int groups = m->ins / GROUP, four = m->flags & FOUR_BITS;
  size_t bytes = group_bytes(m->flags), weights = LANES * GROUP / (four ? 2 : 1);
  for (int row = 0; row < count; row++)
    for (int g = 0; g < groups; g++) {
      int lane = (int)(ids[row] % LANES);
      const uint8_t *at = tile_at(m, (int)(ids[row] / LANES)) + bytes * g, *behind = at + weights;
      float scale = scale_of(behind, lane, m->flags), minimum = 0;
      if (m->flags & MINIMA)
        minimum = scale_of(behind + LANES * (m->flags & WIDE ? 4 : 2), lane, m->flags);
      for (int k = 0; k < GROUP; k++) {
        int step = k / 2, place = 2 * lane + k % 2;
        int number = four ? ((const uint16_t *)at)[step / 4 * 2 * LANES + place] >>
                                    (step % 4 * 4) & 15
                          : (int8_t)at[step * 2 * LANES + place];
        if (m->flags & CENTERED) number -= 8;
        to[(size_t)row * m->ins + g * GROUP + k] = scale * (float)number + minimum;
      }
    }
}

static float *floats_in(uint8_t **memory, size_t count) {
  float *floats = (float *)*memory;
  *memory += count * sizeof(float);
  return floats;
}

static Rounded rounded_in(uint8_t **memory, int rows, int ins) {
  Rounded r;
  r.numbers = (int16_t *)*memory;
  *memory += (size_t)rows * ins * sizeof(int16_t);
  r.scales = (float *)*memory;
  *memory += (size_t)rows * (ins / GROUP) * sizeof(float);
  r.sums = (int32_t *)*memory;
  *memory += (size_t)rows * (ins / GROUP) * sizeof(int32_t);
  r.totals = floats_in(memory, (size_t)rows * (ins / GROUP));
  return r;
}

// x [rows, ins] to y [rows, outs].
void fm_linear(const Matrix *m, const float *x, int32_t rows, float *y, uint8_t *workspace,
               int32_t threads) {
  begin_call(threads);
  Rounded rounded = rounded_in(&workspace, rows, m->ins);
  Rounding rounding = {x, NULL, NULL, rows, m->ins, 0, rounded};
  each_row(rounding_item, &rounding, rows);
  linear((Linear){{m}, {y}, {m->outs}, 1, 0, rows, 1, rounded});
  end_call();
}

static int64_t rounded_bytes(int64_t rows, int64_t ins) {
  return rows * ins * 2 + 3 * rows * (ins / GROUP) * 4;
}

int64_t fm_linear_workspace(const Matrix *m, int32_t rows) { return rounded_bytes(rows, m->ins); }

int64_t fm_blocks_workspace(const Shape *s, int32_t rows) {
  int64_t all = (int64_t)s->heads * s->head_dim, kv = (int64_t)s->kv_heads * s->head_dim;
  int64_t widest = s->hidden > s->inner ? s->hidden : s->inner;
  if (all > widest) widest = all;
  return rounded_bytes(rows, widest) + 4 * rows * (s->hidden + s->inner + 2 * all + 2 * kv);
}

// The blocks on rows of any number of sessions, in place. x: [rows, hidden]
void fm_blocks(const Shape *s, const Block *blocks, int32_t count, float *x, int32_t rows,
               const int32_t *bases, const int32_t *positions, const float *cosines,
               const float *sines, uint8_t *workspace, int32_t threads) {
  begin_call(threads);
  size_t all = (size_t)s->heads * s->head_dim, kv = (size_t)s->kv_heads * s->head_dim;
  float *normed = floats_in(&workspace, (size_t)rows * s->hidden);
  float *inner = floats_in(&workspace, (size_t)rows * s->inner);
  float *queries = floats_in(&workspace, rows * all), *attended = floats_in(&workspace, rows * all);
  float *keys = floats_in(&workspace, rows * kv), *values = floats_in(&workspace, rows * kv);
  for (int i = 0; i < count; i++) {
    const Block *b = blocks + i;
    uint8_t *rest = workspace;
    Rounded hidden = rounded_in(&rest, rows, s->hidden);
    Rounding before = {x, b->attention_norm, normed, rows, s->hidden, s->epsilon, hidden};
    each_row(rounding_item, &before, rows);
    linear((Linear){{&b->query, &b->key, &b->value}, {queries, keys, values},
                    {(int)all, (int)kv, (int)kv}, 3, 0, rows, 1, hidden});
    Attention attention = {s, b, bases, positions, cosines, sines, queries, keys, values, attended};
    attend(&attention, rows);
    rest = workspace;
    Rounded seen = rounded_in(&rest, rows, (int)all);
    Rounding after = {attended, NULL, NULL, rows, (int)all, 0, seen};
    each_row(rounding_item, &after, rows);
    linear((Linear){{&b->output}, {x}, {s->hidden}, 1, 1, rows, 1, seen});

    rest = workspace;
    hidden = rounded_in(&rest, rows, s->hidden);
    Rounding middle = {x, b->mlp_norm, normed, rows, s->hidden, s->epsilon, hidden};
    each_row(rounding_item, &middle, rows);
    gated((Gated){&b->gate, &b->up, inner, rows, 1, hidden});
    rest = workspace;
    Rounded wide = rounded_in(&rest, rows, s->inner);
    Rounding last = {inner, NULL, NULL, rows, s->inner, 0, wide};
    each_row(rounding_item, &last, rows);
    linear((Linear){{&b->down}, {x}, {s->hidden}, 1, 1, rows, 1, wide});
  }
  end_call();
}
