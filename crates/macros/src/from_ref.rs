//! `#[derive(FromRef)]`: one impl for each field of the state.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Fields, ItemStruct, Result};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let state: ItemStruct = syn::parse2(item)?;
    let Fields::Named(fields) = &state.fields else {
        return Err(Error::new(
            state.fields.span(),
            "the state of a worker is a struct with named fields",
        ));
    };
    if !state.generics.params.is_empty() {
        return Err(Error::new(
            state.generics.span(),
            "the state of a worker is one concrete struct: it cannot be generic",
        ));
    }
    let name = &state.ident;
    let impls = fields.named.iter().map(|field| {
        let (field, ty) = (&field.ident, &field.ty);
        quote! {
            impl ::sapari_runtime::handler::FromRef<#name> for #ty {
                fn from_ref(state: &#name) -> Self {
                    ::core::clone::Clone::clone(&state.#field)
                }
            }
        }
    });
    Ok(quote! { #(#impls)* })
}
