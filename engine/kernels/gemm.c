/* Matrix products: of floating values the only user of OpenBLAS, of integers plain loops.  Always one thread a call:
 * the engine cuts the work itself, because a product that OpenBLAS cuts has other bits for every number of threads.  It
 * must be a build with locks: Debian's serial one gives wrong sums when two threads call it. */
#include "kernels/kernels.h"

#include <cblas.h>

#if TD_REAL == 64
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

void K(k_gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
	int64_t ldb, double beta, void *c, int64_t ldc)
{
	GEMM(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1,
		a, (int)lda, b, (int)ldb, (real)beta, c, (int)ldc);
}

#if TD_REAL == 32 /* once is enough */

/* A row of C is the sum of rows of op(B); nothing that a network spends its time in. */
#define INTEGER_GEMM(name, type)                                                                                       \
	void name(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *av, int64_t lda, const void *bv,      \
		int64_t ldb, double beta, void *cv, int64_t ldc)                                                       \
	{                                                                                                              \
		const type *a = av, *b = bv;                                                                           \
		type *c = cv;                                                                                          \
		for (int64_t i = 0; i < m; i++, c += ldc) {                                                            \
			for (int64_t j = 0; j < n; j++)                                                                \
				c[j] = beta == 0 ? 0 : c[j];                                                           \
			for (int64_t l = 0; l < k; l++) {                                                              \
				const type factor = ta ? a[l * lda + i] : a[i * lda + l];                              \
				for (int64_t j = 0; j < n; j++)                                                        \
					c[j] += (type)(factor * (tb ? b[j * ldb + l] : b[l * ldb + j]));               \
			}                                                                                              \
		}                                                                                                      \
	}
INTEGER_GEMM(k_gemm_i32, uint32_t)
INTEGER_GEMM(k_gemm_i64, uint64_t)
INTEGER_GEMM(k_gemm_u8, uint8_t)

void k_gemm_one_thread(void)
{
	openblas_set_num_threads(1);
}

const char *k_gemm_core(void)
{
	return openblas_get_corename();
}

#endif
