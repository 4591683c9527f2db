//! `#[task]` and `#[derive(FromRef)]`: glue, and nothing that could not be written by hand.
//! The function stays as it is; names, queues and policies are declared on the task's type, not here.

mod from_ref;
mod task;

use proc_macro::TokenStream;

/// Makes an async function the handler of the task that its first parameter names.
///
/// After the args it may take `TaskContext` and `State<T>`. The function stays callable as it is; beside it stands a type of
/// the same name for `Worker::task::<name>()`. `#[task(blocking)]` runs a plain function on the blocking threads.
#[proc_macro_attribute]
pub fn task(attributes: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(attributes.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Lets handlers take each field of a worker's state by its type: `State(field): State<Type>`.
///
/// Fields of one type twice are an error of the compiler's: which one would be meant?
#[proc_macro_derive(FromRef)]
pub fn derive_from_ref(item: TokenStream) -> TokenStream {
    from_ref::expand(item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
