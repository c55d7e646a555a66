//! The operations, one function each.
//!
//! Each function has a shape check, the forward pass and the pullback, in this order.
//!
//! | file | operations |
//! | --- | --- |
//! | `arithmetic` | `+ - * /` and negation, with tensors and with scalars |
//! | `broadcast` | [`broadcast_to`](crate::Tensor::broadcast_to), which the arithmetic uses |
//! | `elementwise` | [`exp`](crate::Tensor::exp), [`ln`](crate::Tensor::ln), [`sqrt`](crate::Tensor::sqrt), [`abs`](crate::Tensor::abs), [`sigmoid`](crate::Tensor::sigmoid), [`tanh`](crate::Tensor::tanh), [`gelu`](crate::Tensor::gelu), [`relu`](crate::Tensor::relu) |
//! | `power` | [`square`](crate::Tensor::square), [`powi`](crate::Tensor::powi), [`powf`](crate::Tensor::powf) |
//! | `reduce` | [`sum`](crate::Tensor::sum), [`mean`](crate::Tensor::mean), along an axis or whole; [`var_axis`](crate::Tensor::var_axis) |
//! | `largest` | [`max_axis`](crate::Tensor::max_axis), [`argmax`](crate::Tensor::argmax) |
//! | `reshape` | [`reshape`](crate::Tensor::reshape), [`transpose`](crate::Tensor::transpose) or [`t`](crate::Tensor::t), [`swap_axes`](crate::Tensor::swap_axes) |
//! | `index` | the number at a position, `x[[0, 1]]` |
//! | `slice` | [`slice_axis`](crate::Tensor::slice_axis), [`concat`](crate::Tensor::concat) |
//! | `matmul` | [`matmul`](crate::Tensor::matmul), of matrices or of batches of matrices |
//! | `pairs` | the matrix products of attention, over the pairs that a mask allows |
//! | `softmax` | [`softmax`](crate::Tensor::softmax), [`log_softmax`](crate::Tensor::log_softmax) |

mod arithmetic;
mod broadcast;
mod elementwise;
mod index;
mod largest;
mod matmul;
pub(crate) mod pairs;
mod power;
mod reduce;
mod reshape;
mod slice;
pub(crate) mod softmax;
