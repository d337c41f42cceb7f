/* Matrix products: the only user of OpenBLAS.  Always one thread a call: the engine cuts the work itself, because a
 * product that OpenBLAS cuts has other bits for every number of threads.  It must be a build with locks: Debian's
 * serial one gives wrong sums when two threads call it. */
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

void k_gemm_one_thread(void)
{
	openblas_set_num_threads(1);
}

const char *k_gemm_core(void)
{
	return openblas_get_corename();
}

#endif
